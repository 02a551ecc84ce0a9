//! Alerts as JSON Lines: a file, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failed;
use crate::model::{Alert, FilePlace, Sink, SinkError, SinkPosition};

/// The name under which the ledger keeps the position of `--alerts`, whatever file it names.
pub const ALERTS: &str = "alerts";
/// How much waits for a flush before it is written anyway, in octets: some hundred alerts.
const BUFFER: usize = 256 * 1024;
/// Every line of ours starts so (the order of the fields of `Alert`).
const OURS: &[u8] = b"{\"id\":\"";

/// A file or stream of alerts, one JSON object a line.
///
/// A line that was taken stays in the buffer until all of it is written, so a disk that is full for a while tears no
/// line and loses none; a line that is given again while it is there is known by its number.
#[derive(Debug)]
pub struct JsonLines {
    name: String,
    file: File,
    /// Where the file is, if it is to survive a crash and may be moved away by log rotation.
    lasting: Option<PathBuf>,
    buffer: Vec<u8>,
    /// The last line that was taken.
    taken: u64,
    position: SinkPosition,
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
    /// A last line that a crash of the sensor tore is removed: its alert was not delivered and is given again. Lines are
    /// delivered once they are synced to disk. A file that was moved or removed in the meantime is opened anew by its
    /// path.
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
            taken: 0,
            position: SinkPosition::default(),
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

    /// Writes everything out and, for a file that lasts, to the disk.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.write_out()?;
        let mut file = None;
        if self.lasting.is_some() {
            sync(&self.file)?;
            file = place(&mut self.file)?;
        }
        self.position = SinkPosition { line: self.taken, file };
        Ok(())
    }

    /// Cuts off what stands behind the position, if this is the file that it was taken in: lines that a crash kept from
    /// being counted as delivered, which come again. Returns where the file ends then.
    fn cut_back(&mut self, position: Option<FilePlace>) -> io::Result<Option<FilePlace>> {
        let Some(path) = &self.lasting else { return Ok(None) };
        let end = self.file.seek(SeekFrom::End(0));
        let Some(there) = place(&mut self.file)? else {
            return Ok(None);
        };
        end?;
        let Some(position) = position else {
            return Ok(Some(there));
        };
        let is_same = (there.device, there.inode) == (position.device, position.inode);
        if !is_same || there.length <= position.length {
            return Ok(Some(there));
        }
        let (name, behind) = (&self.name, there.length - position.length);
        if is_ours(&File::open(path)?, position.length)? {
            self.file.set_len(position.length)?;
            sync(&self.file)?;
            tracing::info!("{name}: cut back by {behind} octets of lines that are written again");
            Ok(Some(position))
        } else {
            tracing::warn!(
                "{name}: {behind} octets were added that are not the sensor's; lines before them may come twice"
            );
            Ok(Some(there))
        }
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

    fn resume(&mut self, position: SinkPosition) -> Result<(), SinkError> {
        let file = self
            .cut_back(position.file)
            .map_err(|error| failed(&self.name, error))?;
        self.taken = position.line;
        self.position = SinkPosition { file, ..position };
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.buffer.len() < BUFFER
    }

    fn deliver(&mut self, number: u64, alert: &Alert) -> Result<(), SinkError> {
        if number <= self.taken {
            return Ok(());
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
        self.taken = number;
        Ok(())
    }

    fn turn(&mut self, _: Duration) -> Result<(), SinkError> {
        self.flush().map_err(|error| failed(&self.name, error))
    }

    fn position(&self) -> SinkPosition {
        self.position
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

/// Returns where the last line that was written ends; nothing for a device or pipe.
fn place(file: &mut File) -> io::Result<Option<FilePlace>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    Ok(Some(FilePlace {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: file.stream_position()?,
    }))
}

/// Says whether a line ends before `place`, and all behind it are lines as ours are.
fn is_ours(mut file: &File, place: u64) -> io::Result<bool> {
    if let Some(before) = place.checked_sub(1) {
        let mut end = [0];
        file.seek(SeekFrom::Start(before))?;
        file.read_exact(&mut end)?;
        if end != *b"\n" {
            return Ok(false);
        }
    }
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(true);
        }
        if !line.starts_with(OURS) {
            return Ok(false);
        }
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
        sink.deliver(u64::from(revision), &sample::revision(revision)).unwrap();
        sink.turn(Duration::ZERO).unwrap();
        assert_eq!(sink.position().line, u64::from(revision));
    }

    #[test]
    fn a_created_file_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "old\n").unwrap();
        let mut sink = JsonLines::create(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        sink.deliver(1, &sample::revision(1)).unwrap();
        assert!(revisions(&path).is_empty());
        sink.turn(Duration::ZERO).unwrap();
        assert_eq!(revisions(&path), [1]);
        sink.deliver(2, &sample::revision(2)).unwrap();
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
    fn a_file_is_cut_back_to_its_position_and_no_line_stands_in_it_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let mut sink = JsonLines::append("file".to_owned(), &path).unwrap();
        send(&mut sink, 1);
        let position = sink.position();
        assert_eq!(position.file.unwrap().length, fs::metadata(&path).unwrap().len());
        send(&mut sink, 2);
        send(&mut sink, 3);
        drop(sink);
        // The ledger knows of the first line alone, as after a crash of the machine.
        let mut sink = JsonLines::append("file".to_owned(), &path).unwrap();
        sink.resume(position).unwrap();
        assert_eq!(revisions(&path), [1]);
        for revision in [2, 3] {
            send(&mut sink, revision);
        }
        assert_eq!(revisions(&path), [1, 2, 3]);
    }

    #[test]
    fn what_is_not_ours_or_not_this_file_is_never_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let mut sink = JsonLines::append("file".to_owned(), &path).unwrap();
        send(&mut sink, 1);
        let position = sink.position();
        send(&mut sink, 2);
        let whole = fs::read_to_string(&path).unwrap();
        let resumed = |position: SinkPosition| {
            let mut sink = JsonLines::append("file".to_owned(), &path).unwrap();
            sink.resume(position).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        // Somebody else's line behind ours; a place within a line; another file.
        fs::write(&path, format!("{whole}theirs\n")).unwrap();
        assert_eq!(resumed(position), format!("{whole}theirs\n"));
        fs::write(&path, &whole).unwrap();
        let changed = |change: fn(&mut FilePlace)| {
            let mut file = position.file.unwrap();
            change(&mut file);
            SinkPosition {
                file: Some(file),
                ..position
            }
        };
        assert_eq!(resumed(changed(|file| file.length -= 1)), whole);
        assert_eq!(resumed(changed(|file| file.inode += 1)), whole);
        assert_eq!(resumed(changed(|file| file.length += 1_000_000)), whole);
        assert_eq!(resumed(SinkPosition::at(1)), whole);
        assert_eq!(resumed(position), whole.split_inclusive('\n').next().unwrap());
    }

    #[test]
    fn a_reader_that_goes_away_is_told_apart() {
        let (reader, writer) = io::pipe().unwrap();
        let mut sink = JsonLines::over(ALERTS.to_owned(), File::from(std::os::fd::OwnedFd::from(writer)), None);
        send(&mut sink, 1);
        drop(reader);
        sink.deliver(2, &sample::revision(2)).unwrap();
        assert!(is_reader_gone(&sink.turn(Duration::ZERO).unwrap_err()));
    }

    #[test]
    fn a_full_disk_is_an_error_and_keeps_what_was_taken() {
        let mut sink = JsonLines::create(Path::new("/dev/full")).unwrap();
        sink.deliver(1, &sample::revision(1)).unwrap();
        let error = sink.turn(Duration::ZERO).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        sink.file = File::create(&path).unwrap();
        sink.turn(Duration::ZERO).unwrap();
        assert_eq!(revisions(&path), [1]);
    }
}
