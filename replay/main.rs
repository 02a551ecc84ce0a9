//! The `replay` program.

mod progress;

use clap::Parser;
use firstcontact::command::Exit;
use firstcontact::command::replay::{Arguments, replay};

fn main() -> Exit {
    let arguments = Arguments::parse();
    let bar = progress::Bar::for_files(arguments.files());
    replay(arguments, |at| bar.show(at), || bar.clear())
}
