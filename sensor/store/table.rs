//! The tables of the ledger and how RocksDB keeps them.

use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel, LruCacheOptions, Options,
    SliceTransform, WriteBufferManager,
};

use super::expiry::{self, Expiry};
use super::holders;

/// One table; a column family of RocksDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Where the ledger stands, the recent batches' times, the sinks' positions.
    Meta,
    /// Workload → its record.
    Workloads,
    /// Batch → the pairs that it changed, in one row.
    Journal,
    /// Workload and page → up to 64 pairs.
    Pages,
    /// Front of a destination's hash → entries of the index, merged.
    Holders,
    /// Last use and batch → names.
    Names,
    /// Id → alert.
    Alerts,
    /// Number → line for the sinks.
    Outbox,
    /// Batch → contacts that wait from then on, and those that wait no longer, in one row.
    Pending,
    /// Id → alert whose flow is open.
    Open,
    /// The judge's state; batch → what the alert budget counted in it.
    State,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The least memory that the ledger works with; less is taken as this much.
const LEAST_MEMORY: u64 = 8 * MIB;

/// How much log may stand before tables that hold it up are flushed: bounds the disk and the time of a start.
const LOG_LIMIT: u64 = 64 * MIB;

/// Octets of log between hints to the kernel to begin writing, so that a synced batch does not wait for all of it.
const LOG_WRITE_BEHIND: u64 = MIB;

/// Open table files; the rest are opened when they are read. A process may have 1,024 descriptors by default.
const OPEN_FILES: i32 = 256;

/// RocksDB's own log: a few small files, warnings only.
const OWN_LOG_FILES: usize = 3;
const OWN_LOG_LENGTH: usize = MIB as usize;

/// Octets a block: several rows a block compress better than one.
const BLOCK: usize = 16 * KIB as usize;
/// The same of pages, which are about 2 KiB and are read a few at a time, from anywhere: what is read has to be decompressed.
const PAGE_BLOCK: usize = 4 * KIB as usize;

/// Bits a key of the filters that say that a key is absent: 1 % of wrong guesses.
const FILTER_BITS: f64 = 10.0;

/// The cache is in so many parts, as bits: what does not fit into a part is read from the disk each time, and the index of a
/// file is larger than the half mebibyte that a part has by itself. Few threads look, so that few wait for each other.
const CACHE_PART_BITS: i32 = 2;

/// Octets of a page's key that name its workload.
const WORKLOAD_PREFIX: usize = 4;

impl Table {
    /// Every table.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Workloads,
        Self::Journal,
        Self::Pages,
        Self::Holders,
        Self::Names,
        Self::Alerts,
        Self::Outbox,
        Self::Pending,
        Self::Open,
        Self::State,
    ];

    /// Returns the name of the column family.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Workloads => "workloads",
            Self::Journal => "journal",
            Self::Pages => "pages",
            Self::Holders => "holders",
            Self::Names => "names",
            Self::Alerts => "alerts",
            Self::Outbox => "outbox",
            Self::Pending => "pending",
            Self::Open => "open",
            Self::State => "state",
        }
    }

    /// Returns how many octets of new rows the table keeps in memory before it writes them to a file.
    ///
    /// Journal rows die young: in a large buffer most are deleted before they are written, and only the log saw them.
    fn write_buffer(self, memory: u64) -> usize {
        let octets = match self {
            Self::Journal => (memory / 4).clamp(2 * MIB, 64 * MIB),
            Self::Pages => (memory / 8).clamp(2 * MIB, 64 * MIB),
            Self::Names => (memory / 8).clamp(MIB, 16 * MIB),
            Self::Holders => (memory / 16).clamp(MIB, 16 * MIB),
            Self::Workloads | Self::Alerts | Self::Outbox => 2 * MIB,
            Self::Meta | Self::Pending | Self::Open | Self::State => 512 * KIB,
        };
        octets as usize
    }

    /// Returns how many files of new rows may stand before they are merged.
    ///
    /// Rows of the journal and of names mostly die before anything is gained by merging them, and only a start reads
    /// them. Pages are written in long runs of their own order.
    const fn new_files(self) -> i32 {
        match self {
            Self::Journal | Self::Names => 16,
            Self::Pages => 8,
            _ => 4,
        }
    }

    fn options(self, cache: &Cache, memory: u64, expiry: &Arc<Expiry>) -> Options {
        let mut options = Options::default();
        options.set_write_buffer_size(self.write_buffer(memory));
        options.set_level_zero_file_num_compaction_trigger(self.new_files());
        options.set_level_zero_slowdown_writes_trigger(4 * self.new_files());
        options.set_level_zero_stop_writes_trigger(8 * self.new_files());
        options.set_compression_type(DBCompressionType::None);
        options.set_bottommost_compression_type(match self {
            // Names die within days, and hashes do not compress.
            Self::Journal | Self::Names | Self::Holders => DBCompressionType::None,
            _ => DBCompressionType::Lz4,
        });
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(cache);
        blocks.set_block_size(if self == Self::Pages { PAGE_BLOCK } else { BLOCK });
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        match self {
            Self::Pages => {
                blocks.set_bloom_filter(FILTER_BITS, false);
                options.set_prefix_extractor(SliceTransform::create_fixed_prefix(WORKLOAD_PREFIX));
                let expiry = Arc::clone(expiry);
                options.set_compaction_filter(c"expired pairs", move |_, _, row| expiry::decide_page(&expiry, row));
            }
            Self::Holders => {
                let merging = Arc::clone(expiry);
                options.set_merge_operator_associative(c"entries of the index", move |_, row, operands| {
                    Some(holders::merge(&merging, row, operands.iter()))
                });
                let expiry = Arc::clone(expiry);
                options.set_compaction_filter(c"expired entries", move |_, key, row| {
                    expiry::decide_bucket(&expiry, key, row)
                });
            }
            Self::Names => {
                let expiry = Arc::clone(expiry);
                options.set_compaction_filter(c"names of no use", move |_, key, _| expiry::decide_names(&expiry, key));
            }
            Self::Alerts => {
                blocks.set_bloom_filter(FILTER_BITS, false);
                let expiry = Arc::clone(expiry);
                options.set_compaction_filter(c"expired alerts", move |_, _, row| expiry::decide_alert(&expiry, row));
            }
            _ => {}
        }
        options.set_block_based_table_factory(&blocks);
        options
    }
}

/// Returns the options of the database and of its tables, for `memory` octets of blocks and new rows together.
pub fn options(memory: u64, expiry: &Arc<Expiry>) -> (Options, Vec<ColumnFamilyDescriptor>) {
    let memory = memory.max(LEAST_MEMORY);
    let mut parts = LruCacheOptions::default();
    parts.set_capacity(memory as usize);
    parts.set_num_shard_bits(CACHE_PART_BITS);
    let cache = Cache::new_lru_cache_opts(&parts);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_background_jobs(2);
    // One thread writes.
    options.set_allow_concurrent_memtable_write(false);
    options.set_enable_write_thread_adaptive_yield(false);
    options.set_max_open_files(OPEN_FILES);
    options.set_max_total_wal_size(LOG_LIMIT);
    options.set_wal_bytes_per_sync(LOG_WRITE_BEHIND);
    // Old log files are not used again: a reader beside the running sensor cannot follow one that is.
    options.set_recycle_log_file_num(0);
    // New rows count against the cache, so that `memory` bounds both; half of it is theirs at most.
    let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(memory as usize / 2, false, cache.clone());
    options.set_write_buffer_manager(&buffers);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(OWN_LOG_FILES);
    options.set_max_log_file_size(OWN_LOG_LENGTH);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    let tables = Table::ALL
        .map(|table| ColumnFamilyDescriptor::new(table.name(), table.options(&cache, memory, expiry)))
        .into();
    (options, tables)
}
