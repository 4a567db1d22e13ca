object 342b24a4a3e9aea53906079143e83af1f3d6ede9
type commit
tag v1.0.0
tagger Ann <ann@example.org> 1772323200 +0000

Release 1.0.0
-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQTOMth3Qz1zOllDdlyeYI/mlrXtjgUCaaOBgAAKCRCeYI/mlrXt
jgyCAQCgrjT35/cVhZmpKpmLUU0WTn5FOxkwqRuJkXEaSofmCgD/Zu4FFLpEE5A3
oVCJ4RtBJTTD/CdiXkpeh5dqLEf4YQc=
=t/58
-----END PGP SIGNATURE-----
