//! Golden tests of policies: a small history and a push, and what should become of it, in `*.test.toml` beside the
//! scripts. A test is played in a throw-away repository and decided by the [`Decider`](crate::decide::Decider)
//! that decides everything else.

mod bless;
mod captured;
mod complaints;
mod difference;
mod edit;
mod expect;
mod file;
mod find;
mod found;
mod load;
mod names;
mod plot;
mod retold;
mod run;
mod scene;
mod services;
mod stage;

pub use bless::Blessed;
pub use captured::{Captured, Wish};
pub use difference::{Difference, Line};
pub use find::{Place, find};
pub use load::Suite;
pub use run::{Ending, Tested};
pub use stage::Stage;

use crate::config::Problem;

impl Suite {
    /// Reads the file at `place`.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn load(place: Place) -> Result<Self, Vec<Problem>> {
        load::load(place)
    }
}
