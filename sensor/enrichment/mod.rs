//! What makes an alert easier to follow elsewhere; it decides nothing.

mod community_id;

pub use community_id::community_id;
