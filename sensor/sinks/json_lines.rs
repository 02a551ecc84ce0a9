//! Alerts as JSON Lines: a file, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::failed;
use crate::model::{Alert, Sink, SinkError};

/// The name under which the ledger keeps the position of `--alerts`, whatever file it names.
pub const ALERTS: &str = "alerts";
/// How much waits for a flush before it is written anyway, in octets: some hundred alerts.
const BUFFER: usize = 256 * 1024;

/// A file or stream of alerts, one JSON object a line.
///
/// A line that was taken stays in the buffer until all of it is written, so a disk that is full for a while tears no
/// line and loses none.
#[derive(Debug)]
pub struct JsonLines {
    name: String,
    file: File,
    /// Where the file is, if it is to survive a crash and may be moved away by log rotation.
    lasting: Option<PathBuf>,
    buffer: Vec<u8>,
}

impl JsonLines {
    /// Creates the file, or empties the one there is; for `--alerts FILE`.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let file = File::create(path).map_err(|error| failed(&path.display().to_string(), error))?;
        Ok(Self::over(ALERTS.to_owned(), file, None))
    }

    /// Opens the file to add to it, and creates it if there is none; for `file://`.
    ///
    /// A last line that a crash of the sensor tore is removed: its alert was not confirmed and is given again. Each
    /// flush is synced to disk. A file that was moved or removed in the meantime is opened anew by its path.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, read or written.
    pub fn append(name: String, path: &Path) -> Result<Self, SinkError> {
        match open_to_append(path) {
            Ok(file) => Ok(Self::over(name, file, Some(path.to_owned()))),
            Err(error) => Err(failed(&name, error)),
        }
    }

    /// Writes to standard output.
    ///
    /// A reader that goes away is the error `BrokenPipe` ([`is_reader_gone`](super::is_reader_gone)): the owner ends in
    /// order, and what was not read is still undelivered.
    ///
    /// # Errors
    ///
    /// When the process has no standard output.
    pub fn stdout() -> Result<Self, SinkError> {
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(owned) => Ok(Self::over(ALERTS.to_owned(), File::from(owned), None)),
            Err(error) => Err(failed("standard output", error)),
        }
    }

    fn over(name: String, file: File, lasting: Option<PathBuf>) -> Self {
        Self {
            name,
            file,
            lasting,
            buffer: Vec::new(),
        }
    }

    /// Writes the buffer out; what could not be written stays in it, from the octet at which writing stopped.
    fn write_out(&mut self) -> io::Result<()> {
        let mut done = 0;
        let result = loop {
            let rest = self.buffer.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.file.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.buffer.drain(..done);
        result
    }

    /// Opens the path anew if the file is no longer the one that stands there. Called between lines only.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let Some(path) = &self.lasting else { return Ok(()) };
        let open = self.file.metadata()?;
        let is_there = match path.metadata() {
            Ok(there) => (there.dev(), there.ino()) == (open.dev(), open.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_there {
            self.file = open_to_append(path)?;
        }
        Ok(())
    }
}

impl Sink for JsonLines {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        if self.buffer.len() >= BUFFER {
            self.write_out().map_err(|error| failed(&self.name, error))?;
        }
        if self.buffer.is_empty() {
            self.follow_rotation().map_err(|error| failed(&self.name, error))?;
        }
        let start = self.buffer.len();
        if let Err(error) = serde_json::to_writer(&mut self.buffer, alert) {
            self.buffer.truncate(start);
            return Err(failed(&self.name, error.into()));
        }
        self.buffer.push(b'\n');
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.write_out();
        let synced = match (written, &self.lasting) {
            (Ok(()), Some(_)) => sync(&self.file),
            (result, _) => result,
        };
        synced.map_err(|error| failed(&self.name, error))
    }
}

/// What was taken and not flushed is written if it can be; the owner flushes before it ends.
impl Drop for JsonLines {
    fn drop(&mut self) {
        let _ = self.write_out();
    }
}

/// Syncs a file; a device or pipe that cannot be synced needs none.
fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

fn open_to_append(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    if file.metadata()?.is_file() {
        mend(&mut file, &mut File::open(path)?)?;
    }
    Ok(file)
}

/// Ends the file with a whole line: removes a torn line of ours, and gives any other one its end.
fn mend(file: &mut File, reader: &mut File) -> io::Result<()> {
    /// Every line of ours starts so (the order of the fields of `Alert`).
    const OURS: &[u8] = b"{\"id\":\"";
    let length = reader.seek(SeekFrom::End(0))?;
    let mut tail = Vec::new();
    let mut start = length;
    let torn = loop {
        if let Some(end) = tail.iter().rposition(|&octet| octet == b'\n') {
            break tail.split_off(end + 1);
        }
        if start == 0 {
            break tail;
        }
        let step = start.min(64 * 1024);
        start -= step;
        reader.seek(SeekFrom::Start(start))?;
        let mut part = Vec::new();
        Read::by_ref(reader).take(step).read_to_end(&mut part)?;
        part.append(&mut tail);
        tail = part;
    };
    if torn.is_empty() {
        return Ok(());
    }
    if torn.starts_with(OURS) || OURS.starts_with(&torn) {
        file.set_len(length - u64::try_from(torn.len()).unwrap_or(0))
    } else {
        file.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::sample;
    use crate::sinks::is_reader_gone;

    fn revisions(path: &Path) -> Vec<u32> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str::<Alert>(line).unwrap().revision)
            .collect()
    }

    fn send(sink: &mut JsonLines, revision: u32) {
        sink.deliver(&sample::revision(revision)).unwrap();
        sink.flush().unwrap();
    }

    #[test]
    fn a_created_file_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "old\n").unwrap();
        let mut sink = JsonLines::create(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        sink.deliver(&sample::revision(1)).unwrap();
        assert!(revisions(&path).is_empty());
        sink.flush().unwrap();
        assert_eq!(revisions(&path), [1]);
        sink.deliver(&sample::revision(2)).unwrap();
        drop(sink);
        assert_eq!(revisions(&path), [1, 2]);
    }

    #[test]
    fn an_appended_file_keeps_its_lines_and_loses_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        for revision in [1, 2] {
            send(&mut JsonLines::append("file".to_owned(), &path).unwrap(), revision);
        }
        assert_eq!(revisions(&path), [1, 2]);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 40]).unwrap();
        send(&mut JsonLines::append("file".to_owned(), &path).unwrap(), 3);
        assert_eq!(revisions(&path), [1, 3]);
        fs::write(&path, "somebody else's").unwrap();
        send(&mut JsonLines::append("file".to_owned(), &path).unwrap(), 4);
        assert!(fs::read_to_string(&path).unwrap().starts_with("somebody else's\n{"));
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let moved = folder.path().join("alerts.jsonl.1");
        let mut sink = JsonLines::append("file".to_owned(), &path).unwrap();
        send(&mut sink, 1);
        fs::rename(&path, &moved).unwrap();
        send(&mut sink, 2);
        fs::remove_file(&path).unwrap();
        send(&mut sink, 3);
        assert_eq!((revisions(&moved), revisions(&path)), (vec![1], vec![3]));
    }

    #[test]
    fn a_reader_that_goes_away_is_told_apart() {
        let (reader, writer) = io::pipe().unwrap();
        let mut sink = JsonLines::over(ALERTS.to_owned(), File::from(std::os::fd::OwnedFd::from(writer)), None);
        send(&mut sink, 1);
        drop(reader);
        sink.deliver(&sample::revision(2)).unwrap();
        assert!(is_reader_gone(&sink.flush().unwrap_err()));
    }

    #[test]
    fn a_full_disk_is_an_error_and_keeps_what_was_taken() {
        let mut sink = JsonLines::create(Path::new("/dev/full")).unwrap();
        sink.deliver(&sample::revision(1)).unwrap();
        let error = sink.flush().unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        sink.file = File::create(&path).unwrap();
        sink.flush().unwrap();
        assert_eq!(revisions(&path), [1]);
    }
}
