//! The state folder: whose it is and which format it has.
//!
//! ```text
//! FORMAT       one line: `firstcontact ledger 1`
//! rocksdb/     the tables
//! LENGTHS      how much of the tables' files that grow was on the disk for certain
//! unfinished/  while a replay runs, and after one that was killed: what it takes to go on with it
//! ```

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamilyDescriptor, DB, ErrorKind as TableError, Options};

use crate::model::LedgerError;

use super::lengths::{self, CURRENT, Unfit};

/// The version that this program reads and writes.
const FORMAT: u32 = 1;
/// The file that says so, and the name under which it is written first.
const MARKER: &str = "FORMAT";
const UNFINISHED: &str = "FORMAT.tmp";
/// What the marker says before the version.
const MARKER_WORDS: &str = "firstcontact ledger ";
/// The folder of the tables.
pub const TABLES: &str = "rocksdb";
/// The list of how much was on the disk for certain.
pub const LENGTHS: &str = "LENGTHS";
/// What an empty folder may hold: the root of a file system has it from the start.
const LOST: &str = "lost+found";

/// Returns the folder as messages name it.
pub fn shown(folder: &Path) -> String {
    folder.display().to_string()
}

/// Returns where the tables are.
pub fn tables(folder: &Path) -> PathBuf {
    folder.join(TABLES)
}

/// Makes sure that the folder is a ledger of this format; an absent or empty one is made one.
///
/// # Errors
///
/// `OtherVersion`, `NotALedger`, or `Failed` when the disk does.
pub fn claim(folder: &Path) -> Result<(), LedgerError> {
    if has_marker(folder)? {
        return Ok(());
    }
    let claimed = || {
        fs::create_dir_all(folder)?;
        let unfinished = folder.join(UNFINISHED);
        let mut file = fs::File::create(&unfinished)?;
        writeln!(file, "{MARKER_WORDS}{FORMAT}")?;
        file.sync_all()?;
        fs::rename(unfinished, folder.join(MARKER))?;
        fs::File::open(folder)?.sync_all()
    };
    claimed().map_err(failed(folder, "creating the state folder"))
}

/// Makes sure that the folder is a ledger of this format, and changes nothing.
///
/// # Errors
///
/// As [`claim`]; an absent or empty folder is `Failed`, since there is nothing to read.
pub fn check(folder: &Path) -> Result<(), LedgerError> {
    if has_marker(folder)? {
        return Ok(());
    }
    let absent = std::io::Error::new(ErrorKind::NotFound, "there is no ledger in it");
    Err(failed(folder, "opening the state folder")(absent))
}

/// Returns whether the folder has this format's marker; `false` for one that is absent or empty.
fn has_marker(folder: &Path) -> Result<bool, LedgerError> {
    let not_a_ledger = || LedgerError::NotALedger { folder: shown(folder) };
    match fs::read(folder.join(MARKER)) {
        Ok(marker) => {
            let marker = String::from_utf8_lossy(&marker);
            let found = marker.strip_prefix(MARKER_WORDS).ok_or_else(not_a_ledger)?.trim();
            if found == FORMAT.to_string() {
                return Ok(true);
            }
            Err(LedgerError::OtherVersion {
                folder: shown(folder),
                found: found.to_owned(),
                expected: FORMAT,
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let entries = match fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(failed(folder, "reading the state folder")(error)),
            };
            for entry in entries {
                let name = entry.map_err(failed(folder, "reading the state folder"))?.file_name();
                if name != UNFINISHED && name != LOST {
                    return Err(not_a_ledger());
                }
            }
            Ok(false)
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(not_a_ledger()),
        Err(error) => Err(failed(folder, "reading the state folder")(error)),
    }
}

/// Opens the tables to read and write.
///
/// # Errors
///
/// `Locked` when another process has them open, else `Failed`, also when they are less than they were; nothing is changed
/// then.
pub fn open(folder: &Path, options: &Options, families: Vec<ColumnFamilyDescriptor>) -> Result<DB, LedgerError> {
    check_whole(folder)?;
    check_named(folder)?;
    DB::open_cf_descriptors(options, tables(folder), families).map_err(|error| {
        // RocksDB gives the lock no kind of its own; these words are in both of its messages and in no other.
        let text = error.as_ref();
        if text.contains("lock hold by") || text.contains("While lock file") {
            LedgerError::Locked { folder: shown(folder) }
        } else {
            failed(folder, OPENING)(error)
        }
    })
}

/// What opens a database with its tables.
type Opened = (Options, Vec<ColumnFamilyDescriptor>);

/// Opens the tables to read, beside a process that may have them open; RocksDB keeps what it needs in `own`.
///
/// # Errors
///
/// `Failed`, also when a file is missing.
pub fn open_beside(folder: &Path, own: &Path, made: impl Fn() -> Opened) -> Result<DB, LedgerError> {
    let to_read = || {
        let (mut options, families) = made();
        // Files that the other process deletes stay readable while they are open, so all of them must be.
        options.set_max_open_files(-1);
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        options.set_db_log_dir(own);
        (options, families)
    };
    check_whole(folder)?;
    check_named(folder)?;
    let mut looked = Ok(());
    for _ in 0..LOOKS {
        let (options, families) = to_read();
        // What is opened beside another process takes a file that is missing for one that this one has just replaced, and
        // shows what there was before it.
        looked = DB::open_cf_descriptors_read_only(&options, tables(folder), families, false).map(drop);
        if looked.is_ok() {
            break;
        }
    }
    looked.map_err(failed(folder, OPENING_TO_READ))?;
    let (options, families) = to_read();
    DB::open_cf_descriptors_as_secondary(&options, tables(folder), own.to_owned(), families)
        .map_err(failed(folder, OPENING_TO_READ))
}

/// How often it is looked whether every file is there: another process may replace one in the middle of a look.
const LOOKS: usize = 4;

/// What is said to be done when it fails.
const OPENING: &str = "opening the tables";
const OPENING_TO_READ: &str = "opening the tables to read";

/// Makes sure that the tables are not less than they were.
fn check_whole(folder: &Path) -> Result<(), LedgerError> {
    lengths::check(&tables(folder), &folder.join(LENGTHS)).map_err(|unfit| match unfit {
        Unfit::Failed(error) => failed(folder, OPENING)(error),
        Unfit::Damaged(words) => damaged(folder, words),
    })
}

/// Makes sure that tables are not without the file that leads to them: RocksDB would begin new ones, and delete these.
fn check_named(folder: &Path) -> Result<(), LedgerError> {
    let tables = tables(folder);
    let reading = failed(folder, OPENING);
    if tables.join(CURRENT).try_exists().map_err(&reading)? {
        return Ok(());
    }
    let entries = match fs::read_dir(&tables) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(reading(error)),
    };
    for entry in entries {
        let path = entry.map_err(&reading)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "sst" || extension == "log")
        {
            return Err(damaged(
                folder,
                format!("{} is missing", tables.join(CURRENT).display()),
            ));
        }
    }
    Ok(())
}

/// What cannot be read, and what can be done about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}; the ledger is damaged: put a copy of the folder in its place, or begin another one (docs/state.md)")]
struct Damage(String);

fn damaged(folder: &Path, words: String) -> LedgerError {
    LedgerError::Failed {
        folder: shown(folder),
        action: OPENING,
        source: Box::new(Damage(words)),
    }
}

/// Returns what makes an error of this folder.
pub fn failed<E>(folder: &Path, action: &'static str) -> impl Fn(E) -> LedgerError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| {
        let source: Box<dyn std::error::Error + Send + Sync> = Box::new(source);
        let tables = source.downcast_ref::<rocksdb::Error>();
        LedgerError::Failed {
            folder: shown(folder),
            action,
            source: match tables.filter(|error| is_damage(error)) {
                Some(error) => Box::new(Damage(error.to_string())),
                None => source,
            },
        }
    }
}

/// Says whether an error of the tables comes from what is in their files, or from one that is missing.
fn is_damage(error: &rocksdb::Error) -> bool {
    error.kind() == TableError::Corruption || error.as_ref().contains("No such file or directory")
}
