//! What travels between the threads: batches of packets, and marks between epochs.

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::engine::{DecodeReport, Mark, PARTITIONS, Packets};
use crate::model::Packet;

/// Packets in a batch: a channel's cost is spread over so many that it does not count.
const BATCH: usize = 256;
/// Batches that may wait for one worker: a few milliseconds of a busy link.
pub(super) const QUEUE: usize = 64;

/// What a full queue means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// The source waits: a file has time.
    Wait,
    /// The batch is dropped and counted: the next frames of a link do not wait.
    Drop,
}

/// One packet of a batch, and where its payload stands.
#[derive(Debug, Clone, Copy)]
struct Item {
    packet: Packet,
    partition: usize,
    start: usize,
    end: usize,
}

/// Packets on their way to one worker.
#[derive(Debug, Default)]
pub(super) struct PacketBatch {
    items: Vec<Item>,
    octets: Vec<u8>,
}

impl PacketBatch {
    /// Returns the packets, a few at a time, each with its partition and payload.
    pub fn few(&self, count: usize) -> impl Iterator<Item = impl Iterator<Item = (usize, &Packet, &[u8])> + Clone> {
        self.items.chunks(count).map(|few| {
            few.iter().map(|item| {
                let payload = self.octets.get(item.start..item.end).unwrap_or_default();
                (item.partition, &item.packet, payload)
            })
        })
    }

    fn clear(&mut self) {
        self.items.clear();
        self.octets.clear();
    }
}

/// What a worker is sent.
#[derive(Debug)]
pub(super) enum Work {
    /// Packets.
    Packets(Box<PacketBatch>),
    /// The end of an epoch.
    Mark(Mark),
}

/// Sends packets to the workers that serve their partitions, and marks to all of them and to the judge.
pub(super) struct Fan {
    workers: Vec<Sender<Work>>,
    /// Which worker serves each partition.
    serves: [u8; PARTITIONS],
    #[expect(
        clippy::vec_box,
        reason = "each is sent away in its box and one that comes back takes its place"
    )]
    open: Vec<Box<PacketBatch>>,
    used: Receiver<Box<PacketBatch>>,
    judge: Sender<(Mark, DecodeReport)>,
    when_full: WhenFull,
    dropped: u64,
    is_broken: bool,
}

impl Fan {
    pub fn new(
        workers: Vec<Sender<Work>>,
        used: Receiver<Box<PacketBatch>>,
        judge: Sender<(Mark, DecodeReport)>,
        when_full: WhenFull,
    ) -> Self {
        let count = workers.len().max(1);
        Self {
            serves: std::array::from_fn(|partition| (partition % count) as u8),
            open: workers.iter().map(|_| Box::default()).collect(),
            workers,
            used,
            judge,
            when_full,
            dropped: 0,
            is_broken: false,
        }
    }

    /// Says whether a receiver has gone: the run failed and its threads say why.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Returns how many packets were dropped because a queue was full, since the last call.
    pub const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    fn send(&mut self, worker: usize) {
        let Some(open) = self.open.get_mut(worker) else { return };
        if open.items.is_empty() {
            return;
        }
        let fresh = self.used.try_recv().unwrap_or_default();
        let full = std::mem::replace(open, fresh);
        let Some(sender) = self.workers.get(worker) else { return };
        match self.when_full {
            WhenFull::Wait => self.is_broken |= sender.send(Work::Packets(full)).is_err(),
            WhenFull::Drop => match sender.try_send(Work::Packets(full)) {
                Ok(()) => {}
                Err(TrySendError::Full(Work::Packets(batch))) => {
                    self.dropped += batch.items.len() as u64;
                }
                Err(_) => self.is_broken = true,
            },
        }
    }

    /// Sends what is open, so that a quiet link does not hold packets back.
    pub fn flush(&mut self) {
        for worker in 0..self.workers.len() {
            self.send(worker);
        }
    }
}

impl Packets for Fan {
    // Apart from the decoder, a packet is written twice on its way into the batch.
    #[inline(always)]
    fn packet(&mut self, partition: usize, packet: &Packet, payload: &[u8]) {
        let worker = self.serves.get(partition).copied().map_or(0, usize::from);
        let Some(open) = self.open.get_mut(worker) else { return };
        let start = open.octets.len();
        open.octets.extend_from_slice(payload);
        open.items.push(Item {
            packet: *packet,
            partition,
            start,
            end: open.octets.len(),
        });
        if open.items.len() >= BATCH {
            self.send(worker);
        }
    }

    fn mark(&mut self, mark: Mark, report: DecodeReport) {
        self.flush();
        for worker in &self.workers {
            self.is_broken |= worker.send(Work::Mark(mark.clone())).is_err();
        }
        self.is_broken |= self.judge.send((mark, report)).is_err();
    }
}

/// Gives a batch back for use, unless enough are waiting.
pub(super) fn give_back(mut batch: Box<PacketBatch>, to: &Sender<Box<PacketBatch>>) {
    batch.clear();
    let _ = to.try_send(batch);
}
