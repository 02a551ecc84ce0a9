//! What people see of the state: text for a terminal, and later pages and graphs. All escaping is here.
//!
//! Values in, text out. Sentences about an alert are made in `alerting` and come escaped already; everything else goes
//! through [`escaped`](crate::alerting::escaped) or [`plain`](crate::alerting::plain) on its way out, so that no name
//! from the network reaches a terminal as it is. `--json` needs no view: the records write themselves.

mod alert_text;
mod baseline_text;

pub use alert_text::*;
pub use baseline_text::*;
