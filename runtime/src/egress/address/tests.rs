use super::{Refusal, judge};

use Refusal::{Benchmarking, Documentation, Embedded, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved, Shared, Unspecified};

fn check(rows: &[(&str, Option<Refusal>)]) {
    for &(text, expect) in rows {
        let address = text.parse().expect("the rows are addresses");
        assert_eq!(judge(address).err(), expect, "{text}");
    }
}

#[test]
fn judges_ipv4() {
    check(&[
        ("0.0.0.0", Some(Unspecified)),
        ("0.1.2.3", Some(Unspecified)),
        ("0.255.255.255", Some(Unspecified)),
        ("1.0.0.0", None),
        ("9.255.255.255", None),
        ("10.0.0.0", Some(Private)),
        ("10.255.255.255", Some(Private)),
        ("11.0.0.0", None),
        ("100.63.255.255", None),
        ("100.64.0.0", Some(Shared)),
        ("100.100.100.199", Some(Shared)),
        ("100.100.100.200", Some(Metadata)),
        ("100.127.255.255", Some(Shared)),
        ("100.128.0.0", None),
        ("126.255.255.255", None),
        ("127.0.0.0", Some(Loopback)),
        ("127.0.0.1", Some(Loopback)),
        ("127.255.255.255", Some(Loopback)),
        ("128.0.0.0", None),
        ("168.63.129.15", None),
        ("168.63.129.16", Some(Metadata)),
        ("168.63.129.17", None),
        ("169.253.255.255", None),
        ("169.254.0.0", Some(LinkLocal)),
        ("169.254.169.254", Some(Metadata)),
        ("169.254.170.2", Some(LinkLocal)),
        ("169.255.0.0", None),
        ("172.15.255.255", None),
        ("172.16.0.0", Some(Private)),
        ("172.31.255.255", Some(Private)),
        ("172.32.0.0", None),
        ("192.0.0.1", Some(Reserved)),
        ("192.0.0.192", Some(Metadata)),
        ("192.0.1.0", None),
        ("192.0.2.1", Some(Documentation)),
        ("192.88.99.1", Some(Embedded)),
        ("192.167.255.255", None),
        ("192.168.0.1", Some(Private)),
        ("192.169.0.0", None),
        ("198.17.255.255", None),
        ("198.18.0.1", Some(Benchmarking)),
        ("198.19.255.255", Some(Benchmarking)),
        ("198.20.0.0", None),
        ("198.51.100.1", Some(Documentation)),
        ("203.0.113.255", Some(Documentation)),
        ("223.255.255.255", None),
        ("224.0.0.1", Some(Multicast)),
        ("239.255.255.255", Some(Multicast)),
        ("240.0.0.1", Some(Reserved)),
        ("255.255.255.254", Some(Reserved)),
        ("255.255.255.255", Some(Multicast)),
        ("8.8.8.8", None),
    ]);
}

#[test]
fn judges_ipv6() {
    check(&[
        ("::", Some(Unspecified)),
        ("::1", Some(Loopback)),
        ("::2", Some(Embedded)),
        ("::7f00:1", Some(Embedded)),
        ("::8.8.8.8", Some(Embedded)),
        ("::ffff:127.0.0.1", Some(Embedded)),
        ("::ffff:8.8.8.8", Some(Embedded)),
        ("::ffff:0:127.0.0.1", Some(Embedded)),
        ("0:0:0:1::", Some(Reserved)),
        ("64:ff9b::7f00:1", Some(Embedded)),
        ("64:ff9b::808:808", Some(Embedded)),
        ("64:ff9b:1::a00:1", Some(Embedded)),
        ("100::1", Some(Reserved)),
        ("1fff:ffff::1", Some(Reserved)),
        ("2001::1", Some(Embedded)),
        ("2001:0:7f00:1::", Some(Embedded)),
        ("2001:2::1", Some(Benchmarking)),
        ("2001:10::1", Some(Reserved)),
        ("2001:20::1", Some(Reserved)),
        ("2001:1ff::1", Some(Reserved)),
        ("2001:200::1", None),
        ("2001:4860:4860::8888", None),
        ("2001:db8::1", Some(Documentation)),
        ("2001:db9::1", None),
        ("2002:7f00:1::1", Some(Embedded)),
        ("2002:808:808::1", Some(Embedded)),
        ("2003::1", None),
        ("2606:4700::5efe:a00:1", Some(Embedded)),
        ("2606:4700::200:5efe:a00:1", Some(Embedded)),
        ("2606:4700:4700::1111", None),
        ("3ffe:ffff::1", None),
        ("3fff::1", Some(Documentation)),
        ("3fff:fff::1", Some(Documentation)),
        ("3fff:1000::1", None),
        ("4000::1", Some(Reserved)),
        ("5f00::1", Some(Reserved)),
        ("fbff::1", Some(Reserved)),
        ("fc00::1", Some(Private)),
        ("fd00:ec2::254", Some(Metadata)),
        ("fd00:ec2::23", Some(Metadata)),
        ("fd00:ec2::253", Some(Private)),
        ("fd20:ce::254", Some(Metadata)),
        ("fd00:42::42", Some(Metadata)),
        ("fdff:ffff::1", Some(Private)),
        ("fe00::1", Some(Reserved)),
        ("fe80::1", Some(LinkLocal)),
        ("febf::1", Some(LinkLocal)),
        ("fec0::1", Some(Private)),
        ("ff02::1", Some(Multicast)),
    ]);
}

#[test]
fn only_the_own_networks_can_be_allowed() {
    let allowed = [Loopback, Private, Shared];
    let never = [Unspecified, LinkLocal, Metadata, Multicast, Documentation, Benchmarking, Embedded, Reserved];
    assert!(allowed.into_iter().all(Refusal::can_be_allowed));
    assert!(!never.into_iter().any(Refusal::can_be_allowed));
}
