//! Which addresses traffic may go to. Pure: an address in, a verdict out.
//!
//! IPv4 is public unless listed, IPv6 is refused unless it is global unicast and not listed. The
//! lists are IANA's special-purpose registries plus the metadata services of the large clouds.
//! An address that carries another one (mapped, translated, tunnelled) is refused whatever
//! it carries: no public service is reachable only that way. A NAT64 prefix that an
//! operator took from the own global range cannot be recognised here.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// "This network", which systems take for the own host.
    Unspecified,
    /// The own host.
    Loopback,
    /// A private network, IPv6's unique local addresses included.
    Private,
    /// Shared by a provider's customers (carrier-grade NAT).
    Shared,
    /// The own link.
    LinkLocal,
    /// A cloud's metadata service.
    Metadata,
    /// More than one host.
    Multicast,
    /// For examples in documents.
    Documentation,
    /// For measurements in a laboratory.
    Benchmarking,
    /// Carries another address: IPv4-mapped or -compatible, NAT64, 6to4, Teredo.
    Embedded,
    /// Not assigned for use in the public internet.
    Reserved,
}

impl Refusal {
    /// Whether an operator can allow such an address with a private target. Metadata
    /// services, whole links and disguised addresses stay refused.
    pub fn can_be_allowed(self) -> bool {
        matches!(self, Self::Loopback | Self::Private | Self::Shared)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "a carrier-grade NAT address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata service",
            Self::Multicast => "a multicast or broadcast address",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Embedded => "an address that carries another one",
            Self::Reserved => "a reserved address",
        })
    }
}

/// Whether traffic may go to an address.
///
/// # Errors
/// Why not.
pub fn judge(address: IpAddr) -> Result<(), Refusal> {
    let refusal = match address {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => refusal_v6(address),
    };
    refusal.map_or(Ok(()), Err)
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

/// From the first four groups of the address; the others are zero.
const fn v6(a: u16, b: u16, c: u16, d: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// The first match counts, so that a metadata service is not taken for its surroundings.
const REFUSED_V4: [(Ipv4Net, Refusal); 20] = [
    // Alibaba, Oracle (classic) and Azure outside the link-local range.
    (v4(100, 100, 100, 200, 32), Refusal::Metadata),
    (v4(192, 0, 0, 192, 32), Refusal::Metadata),
    (v4(168, 63, 129, 16, 32), Refusal::Metadata),
    (v4(169, 254, 169, 254, 32), Refusal::Metadata),
    (v4(0, 0, 0, 0, 8), Refusal::Unspecified),
    (v4(10, 0, 0, 0, 8), Refusal::Private),
    (v4(100, 64, 0, 0, 10), Refusal::Shared),
    (v4(127, 0, 0, 0, 8), Refusal::Loopback),
    (v4(169, 254, 0, 0, 16), Refusal::LinkLocal),
    (v4(172, 16, 0, 0, 12), Refusal::Private),
    (v4(192, 0, 0, 0, 24), Refusal::Reserved),
    (v4(192, 0, 2, 0, 24), Refusal::Documentation),
    // Relays of 6to4.
    (v4(192, 88, 99, 0, 24), Refusal::Embedded),
    (v4(192, 168, 0, 0, 16), Refusal::Private),
    (v4(198, 18, 0, 0, 15), Refusal::Benchmarking),
    (v4(198, 51, 100, 0, 24), Refusal::Documentation),
    (v4(203, 0, 113, 0, 24), Refusal::Documentation),
    (v4(224, 0, 0, 0, 4), Refusal::Multicast),
    (v4(255, 255, 255, 255, 32), Refusal::Multicast),
    (v4(240, 0, 0, 0, 4), Refusal::Reserved),
];

fn refusal_v4(address: Ipv4Addr) -> Option<Refusal> {
    REFUSED_V4.iter().find(|(net, _)| net.contains(&address)).map(|&(_, refusal)| refusal)
}

/// Metadata services inside ranges that an operator may allow: AWS (instance metadata and
/// pod identity), Google Cloud, Scaleway.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

const GLOBAL_UNICAST_V6: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// What is refused inside global unicast, and names for the ranges outside of it.
const REFUSED_V6: [(Ipv6Net, Refusal); 15] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), Refusal::Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), Refusal::Loopback),
    // IPv4-compatible, IPv4-mapped and IPv4-translated.
    (v6(0, 0, 0, 0, 64), Refusal::Embedded),
    // NAT64, well-known and local.
    (v6(0x64, 0xff9b, 0, 0, 32), Refusal::Embedded),
    (v6(0x2001, 0, 0, 0, 32), Refusal::Embedded),
    (v6(0x2001, 2, 0, 0, 48), Refusal::Benchmarking),
    (v6(0x2001, 0, 0, 0, 23), Refusal::Reserved),
    (v6(0x2001, 0xdb8, 0, 0, 32), Refusal::Documentation),
    (v6(0x2002, 0, 0, 0, 16), Refusal::Embedded),
    (v6(0x3fff, 0, 0, 0, 20), Refusal::Documentation),
    (v6(0xfc00, 0, 0, 0, 7), Refusal::Private),
    (v6(0xfe80, 0, 0, 0, 10), Refusal::LinkLocal),
    // The deprecated site-local range.
    (v6(0xfec0, 0, 0, 0, 10), Refusal::Private),
    (v6(0xff00, 0, 0, 0, 8), Refusal::Multicast),
    (v6(0x100, 0, 0, 0, 64), Refusal::Reserved),
];

fn refusal_v6(address: Ipv6Addr) -> Option<Refusal> {
    if METADATA_V6.contains(&address) {
        return Some(Refusal::Metadata);
    }
    if let Some(&(_, refusal)) = REFUSED_V6.iter().find(|(net, _)| net.contains(&address)) {
        return Some(refusal);
    }
    // ISATAP puts an IPv4 address behind this mark into any global prefix.
    let [.., mark, ietf, _, _] = address.segments();
    if ietf == 0x5efe && mark & !0x0200 == 0 {
        return Some(Refusal::Embedded);
    }
    (!GLOBAL_UNICAST_V6.contains(&address)).then_some(Refusal::Reserved)
}
