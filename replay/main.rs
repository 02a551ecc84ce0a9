//! The `replay` program.

/// Threads free what others allocated all the time, which this allocator is made for. Built without transparent huge pages:
/// tables grow by small pieces all over memory, so that pages of 2 MiB hold a tenth more than is used and bring no speed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod progress;

use clap::Parser;
use firstcontact::command::Exit;
use firstcontact::command::replay::{Arguments, replay};

fn main() -> Exit {
    let arguments = Arguments::parse();
    let bar = progress::Bar::for_files(arguments.files());
    replay(arguments, |at| bar.show(at), || bar.clear())
}
