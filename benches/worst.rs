//! What the worst messages cost: no response of 64 KiB may take more than a millisecond to be read.

#[path = "../sensor/wire/dns/worst.rs"]
mod worst;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use firstcontact::wire::dns;

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("worst");
    group.sample_size(20);
    for (made_of, message) in worst::messages() {
        group.bench_function(made_of, |bencher| {
            bencher.iter(|| black_box(dns::parse_response(black_box(&message))).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
