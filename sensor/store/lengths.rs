//! How much of the files that only grow was on the disk for certain.
//!
//! RocksDB takes a manifest that ends early for one whose writer was killed, and a log with an octet that changed for one
//! that ends there: it opens with what stood before, and deletes the files that it does not know of any more. A ledger
//! would have forgotten, and nobody would hear of it. So beside the tables stands a list of these files, and a ledger is
//! only opened, to write or to read, if each holds what it held when it was listed:
//!
//! ```text
//! MANIFEST-000451 4955 8d9f0a1b
//! 000450.log 453 00c25f17
//! end 6d1e30ab
//! ```
//!
//! Name, length and CRC-32 of as many octets; the last line has that of all lines before it. What is listed was brought to
//! the disk before, and the list is replaced whole, so neither a kill nor a power cut makes it refuse what is good:
//!
//! - files may have grown since;
//! - `CURRENT` may name a manifest with a greater number, since each opening to write begins one;
//! - logs may be gone, once their rows are in tables. That makes the manifest grow, so the newest one is there as long as
//!   the manifest has not grown.
//!
//! What was written after the last list is not known by it. It is renewed whenever the manifest has grown, whenever the
//! tables are synced, and at last when they are closed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crc32fast::Hasher;

/// The file in the folder of the tables that names their manifest.
pub const CURRENT: &str = "CURRENT";
/// What the name of a manifest begins with, and that of a log ends with.
const MANIFEST: &str = "MANIFEST-";
const LOG: &str = ".log";
/// The first word of the list's last line.
const END: &str = "end";
/// What a list is called until it is whole.
const PARTIAL: &str = "tmp";
/// How often it is looked again for a manifest that another process may have replaced just now.
const LOOKS: usize = 4;
/// Octets that are read at once.
const A_READ: usize = 1 << 16;

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    name: String,
    length: u64,
    sum: u32,
}

/// The list as this process wrote it last: only what was added since has to be read for the next one.
#[derive(Debug, Default)]
pub struct Lengths {
    listed: Vec<Listed>,
}

/// The files that grow by their names, with how long they were; the manifest first, then logs by their numbers.
#[derive(Debug)]
pub struct Measured(Vec<(String, u64)>);

/// Why tables are not to be opened.
#[derive(Debug)]
pub enum Unfit {
    /// They cannot be read.
    Failed(io::Error),
    /// They are less than they were: in words.
    Damaged(String),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Lengths {
    /// Brings what was measured to the disk and lists it, if there is anything new.
    ///
    /// # Errors
    ///
    /// What the disk says; the list is then the one before.
    pub fn renew(&mut self, tables: &Path, list: &Path, measured: &Measured) -> io::Result<()> {
        let mut listed = Vec::with_capacity(measured.0.len());
        for (name, length) in &measured.0 {
            match self.grown(tables, name, *length) {
                Ok(file) => listed.push(file),
                // Another manifest is in its place; that is listed the next time.
                Err(error) if error.kind() == ErrorKind::NotFound && listed.is_empty() => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if listed == self.listed {
            return Ok(());
        }
        // A file may be on the disk before its name is.
        File::open(tables)?.sync_all()?;
        let partial = list.with_extension(PARTIAL);
        let mut file = File::create(&partial)?;
        file.write_all(text_of(&listed).as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, list)?;
        if let Some(folder) = list.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.listed = listed;
        Ok(())
    }

    /// Says whether the manifest is longer than it was listed, or another one.
    #[must_use]
    pub fn is_old(&self, tables: &Path) -> bool {
        let manifest = self.listed.first();
        manifest.is_none_or(|listed| length_of(&tables.join(&listed.name)).ok().flatten() != Some(listed.length))
    }

    /// Brings a file to the disk and returns what it holds up to a length.
    fn grown(&self, tables: &Path, name: &str, length: u64) -> io::Result<Listed> {
        let mut file = File::open(tables.join(name))?;
        file.sync_data()?;
        let name = name.to_owned();
        let mut before = self.listed.iter().filter(|listed| listed.name == name);
        let (from, sum) = before.next().map_or((0, 0), |listed| (listed.length, listed.sum));
        file.seek(SeekFrom::Start(from))?;
        match sum_of(&mut file, length.saturating_sub(from), sum)? {
            Some(sum) if from <= length => Ok(Listed { name, length, sum }),
            _ => Err(io::Error::other(format!("{name} has become shorter"))),
        }
    }
}

/// Returns how long the files are that grow. To be called while none of them is being written to: of a write that fails,
/// what there is of it is taken back.
///
/// # Errors
///
/// When the files cannot be looked at.
pub fn measured(tables: &Path) -> io::Result<Measured> {
    let current = fs::read_to_string(tables.join(CURRENT))?;
    let Some((_, manifest)) = manifest_in(&current) else {
        return Err(io::Error::other("no manifest is named"));
    };
    // The manifest first: if a log goes after this it will have grown.
    let mut measured = vec![(manifest.to_owned(), length_of(&tables.join(manifest))?.unwrap_or(0))];
    for (_, name) in logs(tables)? {
        if let Some(length) = length_of(&tables.join(&name))? {
            measured.push((name, length));
        }
    }
    Ok(Measured(measured))
}

/// Makes sure that files which only grow hold what they held when they were listed; without a list there is nothing that
/// could be missed. Changes nothing.
///
/// # Errors
///
/// `Damaged` if they do not; `Failed` when the disk fails.
pub fn check(tables: &Path, list: &Path) -> Result<(), Unfit> {
    let text = match fs::read(list) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let listed = std::str::from_utf8(&text).ok().and_then(parse);
    let parts = listed.as_deref().and_then(<[Listed]>::split_first);
    let Some((manifest, logs)) = parts else {
        return Err(Unfit::Damaged(format!("{} cannot be read", list.display())));
    };
    let mut looked = Ok(());
    for _ in 0..LOOKS {
        looked = look(tables, manifest, logs);
        if looked.is_ok() {
            break;
        }
    }
    looked
}

fn look(tables: &Path, manifest: &Listed, logs: &[Listed]) -> Result<(), Unfit> {
    let shown = |name: &str| tables.join(name).display().to_string();
    let missing = |name: &str| Unfit::Damaged(format!("{} is missing", shown(name)));
    let current = match fs::read(tables.join(CURRENT)) {
        Ok(current) => current,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(CURRENT)),
        Err(error) => return Err(error.into()),
    };
    let named = std::str::from_utf8(&current).ok().and_then(manifest_in);
    let before = manifest_number(&manifest.name);
    let Some((now, name)) = named.filter(|(now, _)| Some(*now) >= before) else {
        let words = format!("{} does not name {} or a later one", shown(CURRENT), manifest.name);
        return Err(Unfit::Damaged(words));
    };
    for log in logs {
        holds(tables, log)?;
    }
    if Some(now) > before {
        return match length_of(&tables.join(name))? {
            Some(_) => Ok(()),
            None => Err(missing(name)),
        };
    }
    // What is looked at first may be gone by now, if another process writes; then the manifest has grown.
    let newest = logs.last().filter(|log| log.length > 0);
    let newest_is_there = match newest {
        Some(log) => length_of(&tables.join(&log.name))?.is_some(),
        None => true,
    };
    let length = holds(tables, manifest)?.ok_or_else(|| missing(name))?;
    match newest {
        Some(log) if !newest_is_there && length == manifest.length => Err(missing(&log.name)),
        _ => Ok(()),
    }
}

/// Makes sure that a file, if it is there, holds what it held; returns how long it is.
fn holds(tables: &Path, listed: &Listed) -> Result<Option<u64>, Unfit> {
    let path = tables.join(&listed.name);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match sum_of(&mut file, listed.length, 0)? {
        Some(sum) if sum == listed.sum => Ok(Some(file.metadata()?.len())),
        Some(_) => Err(Unfit::Damaged(format!("{} is not what it was", path.display()))),
        None => Err(Unfit::Damaged(format!("{} is shorter than it was", path.display()))),
    }
}

/// Returns a sum with so many further octets of a file in it; nothing if there are fewer.
fn sum_of(file: &mut File, mut octets: u64, sum: u32) -> io::Result<Option<u32>> {
    let mut hasher = Hasher::new_with_initial(sum);
    let mut buffer = vec![0; A_READ];
    while octets > 0 {
        let wanted = usize::try_from(octets).unwrap_or(A_READ).min(A_READ);
        let room = buffer.get_mut(..wanted).unwrap_or_default();
        match file.read(room) {
            Ok(0) => return Ok(None),
            Ok(read) => {
                hasher.update(room.get(..read).unwrap_or_default());
                octets -= read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(hasher.finalize()))
}

fn length_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the logs of tables by their numbers.
fn logs(tables: &Path) -> io::Result<Vec<(u64, String)>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(tables)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or_default();
        logs.extend(log_number(name).map(|number| (number, name.to_owned())));
    }
    logs.sort_unstable();
    Ok(logs)
}

/// Returns the number and the name of the manifest that `CURRENT` names.
fn manifest_in(current: &str) -> Option<(u64, &str)> {
    let name = current.strip_suffix('\n')?;
    Some((manifest_number(name)?, name))
}

fn manifest_number(name: &str) -> Option<u64> {
    number(name.strip_prefix(MANIFEST)?)
}

fn log_number(name: &str) -> Option<u64> {
    number(name.strip_suffix(LOG)?)
}

fn number(digits: &str) -> Option<u64> {
    let are_digits = digits.bytes().all(|octet| octet.is_ascii_digit());
    digits.parse().ok().filter(|_| are_digits)
}

fn text_of(listed: &[Listed]) -> String {
    let line = |listed: &Listed| format!("{} {} {:08x}\n", listed.name, listed.length, listed.sum);
    let lines: String = listed.iter().map(line).collect();
    let sum = crc32fast::hash(lines.as_bytes());
    format!("{lines}{END} {sum:08x}\n")
}

/// Returns what a list says: a manifest, then logs by their numbers.
fn parse(text: &str) -> Option<Vec<Listed>> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let listed = Listed {
            name: words.next()?.to_owned(),
            length: words.next()?.parse().ok()?,
            sum: u32::from_str_radix(words.next()?, 16).ok()?,
        };
        Some(listed)
    };
    let (lines, _) = text.trim_end().rsplit_once('\n')?;
    let listed: Vec<Listed> = lines.lines().map(line).collect::<Option<_>>()?;
    let (manifest, logs) = listed.split_first()?;
    let are_named = manifest_number(&manifest.name).is_some() && logs.iter().all(|log| log_number(&log.name).is_some());
    // Whatever is not as it would be written is not what was written.
    (are_named && text == text_of(&listed)).then_some(listed)
}
