//! The state folder: whose it is and which format it has.
//!
//! ```text
//! FORMAT       one line: `firstcontact ledger 1`
//! rocksdb/     the tables
//! unfinished/  while a replay runs, and after one that was killed: what it takes to go on with it
//! ```

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamilyDescriptor, DB, Options};

use crate::model::LedgerError;

/// The version that this program reads and writes.
const FORMAT: u32 = 1;
/// The file that says so, and the name under which it is written first.
const MARKER: &str = "FORMAT";
const UNFINISHED: &str = "FORMAT.tmp";
/// What the marker says before the version.
const MARKER_WORDS: &str = "firstcontact ledger ";
/// The folder of the tables.
pub const TABLES: &str = "rocksdb";
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
/// `Locked` when another process has them open, else `Failed`.
pub fn open(folder: &Path, options: &Options, families: Vec<ColumnFamilyDescriptor>) -> Result<DB, LedgerError> {
    DB::open_cf_descriptors(options, tables(folder), families).map_err(|error| {
        // RocksDB gives the lock no kind of its own; these words are in both of its messages and in no other.
        let text = error.as_ref();
        if text.contains("lock hold by") || text.contains("While lock file") {
            LedgerError::Locked { folder: shown(folder) }
        } else {
            failed(folder, "opening the tables")(error)
        }
    })
}

/// Opens the tables to read, beside a process that may have them open; RocksDB keeps what it needs in `own`.
///
/// # Errors
///
/// `Failed`.
pub fn open_beside(
    folder: &Path,
    own: &Path,
    options: &mut Options,
    families: Vec<ColumnFamilyDescriptor>,
) -> Result<DB, LedgerError> {
    // Files that the other process deletes stay readable while they are open, so all of them must be.
    options.set_max_open_files(-1);
    options.create_if_missing(false);
    options.create_missing_column_families(false);
    DB::open_cf_descriptors_as_secondary(options, tables(folder), own.to_owned(), families)
        .map_err(failed(folder, "opening the tables to read"))
}

/// Returns what makes an error of this folder.
pub fn failed<E>(folder: &Path, action: &'static str) -> impl Fn(E) -> LedgerError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| LedgerError::Failed {
        folder: shown(folder),
        action,
        source: Box::new(source),
    }
}
