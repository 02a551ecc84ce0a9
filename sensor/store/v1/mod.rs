//! The records of the first format, apart from the running types: octets and nothing else.
//!
//! Every row starts with the octet [`VERSION`]. Pairs, pages, names and workloads are written by hand, since there are
//! millions of them; what is rare goes through JSON, where people can read it. Decoding takes any octets at all: it
//! returns `None` for what this format did not write, and never allocates much more than the row is long.
//!
//! Integers of fixed width are little endian inside rows and big endian in keys, where their order counts. Lengths and
//! counts are LEB128 varints; signed differences are in zigzag form.

mod budget;
mod holder;
mod kept;
mod key;
mod name;
mod octets;
mod page;
mod pair;
mod pending;
mod row;
mod workload;

pub use budget::{decode_budget, encode_budget};
pub use holder::{decode_holders, encode_holders};
pub use kept::{decode_count, decode_limits, decode_unrecorded, encode_count, encode_limits, encode_unrecorded};
pub use key::{
    ALERTS, COUNTED, PAIRS, UNRECORDED, alert_id_of, bucket, counted_key, day_key, from_counted_key, from_day_key,
    from_sequence_key, from_unrecorded_key, from_workload_key, last_use_key, names_key, page_key, recent_key,
    sequence_key, sink_key, sink_of, unrecorded_key, workload_key, workload_of_page,
};
pub use name::{NameRows, decode_names, end_names, rows_of};
pub use page::{decode_page, encode_page, page_batch, page_pairs, page_slots, page_span};
pub use pair::{add_to_journal, decode_journal};
pub use pending::{decode_pending, encode_pending};
pub use row::{
    Committed, decode_alert, decode_committed, decode_digest, decode_json, decode_position, decode_time, encode_alert,
    encode_committed, encode_digest, encode_json, encode_position, encode_time, time_of_alert,
};
pub use workload::{decode_workload, encode_workload};

/// The octet that every row of this format starts with.
pub const VERSION: u8 = 1;
