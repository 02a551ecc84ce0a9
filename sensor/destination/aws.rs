//! How Amazon Web Services name their endpoints (rule D2), as rules of the form that settings have (rule D4).
//!
//! Sources: the "Service endpoints and quotas" chapters of the AWS General Reference (regions, `dualstack`, `-fips`,
//! the S3, ELB, RDS and `compute` forms); the `partitions.json` that the AWS SDKs ship (suffixes of the partitions and
//! of their dual-stack endpoints); the PrivateLink guide (`vpce`); the ElastiCache guide (`use1` and its like);
//! the S3 Express guide (zones such as `use1-az4`).
//!
//! Left out on purpose: `awsapps.com`, `awsglobalaccelerator.com`, `cloudfront.net`, `elasticbeanstalk.com` and their
//! like, which the private section of the public suffix list knows, and `amazon.com`, which is a domain as any other.

use crate::model::AggregateRule;

/// The DNS suffixes of the partitions; the service stands in front of each.
const PARTITIONS: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// Suffixes of customers' own endpoints, such as the function URLs of Lambda. The services under them are others than
/// those under the partition's suffix, so they keep their own.
const CUSTOMER_ENDPOINTS: [&str; 3] = ["on.aws", "on.amazonwebservices.com.cn", "on.amazonwebservices.eu"];

/// Suffixes of dual-stack endpoints and the partitions that they belong to.
const DUAL_STACK: [(&str, &str); 7] = [
    ("api.aws", "amazonaws.com"),
    ("api.amazonwebservices.com.cn", "amazonaws.com.cn"),
    ("api.amazonwebservices.eu", "amazonaws.eu"),
    ("api.aws.ic.gov", "c2s.ic.gov"),
    ("api.aws.scloud", "sc2s.sgov.gov"),
    ("api.cloud-aws.adc-e.uk", "cloud.adc-e.uk"),
    ("api.aws.hci.ic.gov", "csp.hci.ic.gov"),
];

/// How the names of regions start: `us-`, `us-gov-`, `us-iso-`, `us-isob-`, `eusc-de-`. A region of a country that is
/// yet to come is known in advance.
const AREAS: [&str; 5] = ["??", "??-gov", "??-iso", "??-iso?", "eusc-??"];

/// How they go on; a digit follows.
///
/// They are spelled out, since a database `us-orders-1` is none. One digit, since a load balancer `us-east` has a
/// number of ten behind its name.
const DIRECTIONS: [&str; 9] = [
    "north",
    "south",
    "east",
    "west",
    "central",
    "northeast",
    "northwest",
    "southeast",
    "southwest",
];

/// Short forms of regions before their digit, in the names of caches: `use1`, `apne1`, `cac1`.
const SHORT_REGIONS: [&str; 9] = ["??n", "??s", "??e", "??w", "??c", "??ne", "??nw", "??se", "??sw"];

/// Labels that say how an endpoint is reached and not what it is; `z-1` is of the oldest names of EC2.
const WAYS: [&str; 4] = ["dualstack", "fips", "vpce", "z-#"];

/// Endings of a service's label that do not make it another service: `kms-fips`, `s3-accelerate`, `s3-website`,
/// `s3-external-1`, `compute-1`, `ecs-a-13`, `s3express-use1-az4`.
const ENDINGS: [&str; 8] = [
    "-fips",
    "-accelerate",
    "-website",
    "-external",
    "-#",
    "-##",
    "-###",
    "-*-az#",
];

/// Buckets are named by customers, with dots if they like: `us-east-1.data.s3.amazonaws.com` is not the bucket `data`.
const VERBATIM: [&str; 1] = ["s3"];

/// Returns the rules that ship.
pub(super) fn rules() -> Vec<AggregateRule> {
    let strip = strip();
    let services = PARTITIONS
        .iter()
        .chain(&CUSTOMER_ENDPOINTS)
        .map(|suffix| AggregateRule {
            suffix: (*suffix).to_owned(),
            strip: strip.clone(),
            tenant: true,
            verbatim: VERBATIM.map(str::to_owned).to_vec(),
            alias_of: None,
        });
    let aliases = DUAL_STACK.iter().map(|(suffix, partition)| AggregateRule {
        suffix: (*suffix).to_owned(),
        alias_of: Some((*partition).to_owned()),
        ..AggregateRule::default()
    });
    services.chain(aliases).collect()
}

fn strip() -> Vec<String> {
    let regions: Vec<String> = AREAS
        .iter()
        .flat_map(|area| DIRECTIONS.iter().map(move |direction| format!("{area}-{direction}-#")))
        .collect();
    let mut strip: Vec<String> = WAYS.iter().chain(&ENDINGS).map(|&entry| entry.to_owned()).collect();
    strip.extend(SHORT_REGIONS.iter().map(|short| format!("{short}#")));
    strip.extend(regions.iter().map(|region| format!("-{region}")));
    strip.extend(regions);
    strip
}
