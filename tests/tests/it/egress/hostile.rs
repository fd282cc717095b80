//! Servers that answer to do harm: more than anybody asked for, without end, or something that the
//! next one on the same connection would take for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everwit_runtime::egress::{EgressErrorKind, EgressQuota, EgressRequest, GatewayConfig, MAX_RESPONSE_HEAD_BYTES, ReuseKey, Timeouts};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::support::*;

/// Most that the gateway may take of something that has no end, in bytes: what is on its way in the
/// pipe, in the buffers of the client, and the limit itself.
const MAX_TAKEN: usize = 1 << 20;

/// Sends `head` and then `piece` for ever; counts what was taken.
fn endless(head: impl Into<Vec<u8>>, piece: impl Into<Vec<u8>>) -> (Arc<Pipe>, Arc<AtomicUsize>) {
    let (head, piece, taken) = (Arc::new(head.into()), Arc::new(piece.into()), Arc::new(AtomicUsize::new(0)));
    let count = taken.clone();
    let pipe = Pipe::new(move |mut stream| {
        let (head, piece, count) = (head.clone(), piece.clone(), count.clone());
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&head).await;
            while stream.write_all(&piece).await.is_ok() {
                count.fetch_add(piece.len(), Ordering::Relaxed);
            }
        }
    });
    (pipe, taken)
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_read_to_its_end() {
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(1_000)),
        ("HTTP/1.1 200 OK\r\nx: ", "y".repeat(10_000)),
        ("HTTP/1.1 200 ", "OK".repeat(5_000)),
        ("", "\r\n".repeat(5_000)),
    ] {
        let (pipe, taken) = endless(head, piece);
        let error = fetch(&public(pipe)).await.expect_err(head);
        assert!(error.request_sent && matches!(error.kind, EgressErrorKind::Limit | EgressErrorKind::Protocol), "{head:?}: {error}");
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken <= MAX_TAKEN, "{head:?}: {taken} bytes were taken");
    }
    let million = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1_000_000));
    assert!(million.len() > MAX_RESPONSE_HEAD_BYTES);
    assert_fault(&fetch(&public(Pipe::answering(million))).await.unwrap_err(), EgressErrorKind::Limit, true);
}

#[tokio::test]
async fn framing_that_never_ends_is_not_read_to_its_end() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, piece) in [("1;", "x".repeat(10_000)), ("0\r\n", "x: y\r\n".repeat(1_000))] {
        let (pipe, taken) = endless(format!("{chunked}{head}"), piece);
        let mut response = fetch(&public(pipe)).await.expect("the head is whole");
        let error = read(&mut response).await.expect_err(head);
        assert_fault(&error, EgressErrorKind::Protocol, true);
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken <= MAX_TAKEN, "{head:?}: {taken} bytes were taken");
    }
}

/// Sizes that are no sizes, or so many that none holds.
#[tokio::test]
async fn lengths_that_lie_are_faults() {
    for head in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: -1\r\n",
        "content-length: +3\r\n",
        "content-length: 3, 4\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length: 0x3\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\nabc");
        let error = fetch(&public(Pipe::answering(answer))).await.expect_err(head);
        assert_fault(&error, EgressErrorKind::Protocol, true);
    }
    for size in ["FFFFFFFFFFFFFFFFF", "-1", "1 2", ""] {
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size}\r\nabc\r\n0\r\n\r\n");
        let mut response = fetch(&public(Pipe::answering(answer))).await.expect("the head is whole");
        assert_fault(&read(&mut response).await.expect_err(size), EgressErrorKind::Protocol, true);
    }
}

/// What comes behind an answer is no answer to the next request, whosever that is.
#[tokio::test]
async fn bytes_behind_an_answer_answer_nothing() {
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother";
    for (first, connections) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc".to_owned(), 1),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc{smuggled}"), 3),
        (format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{smuggled}"), 3),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{smuggled}"), 3),
    ] {
        let first = Arc::new(first);
        let pipe = Pipe::new(move |mut stream| {
            let first = first.clone();
            async move {
                // It stays open, as one would to be used again.
                while !read_request(&mut stream).await.is_empty() && stream.write_all(first.as_bytes()).await.is_ok() {}
            }
        });
        let gateway = public(pipe.clone());
        for _ in 0..3 {
            let request = EgressRequest { reuse: Some(ReuseKey::of([&b"driver"[..]])), ..get("http://a.test/") };
            let sent = gateway.send("org", &grant(&["a.test:80"]), request, &mut quota()).await;
            assert_eq!(read(&mut sent.expect("an answer")).await.expect("a body"), b"abc");
        }
        assert_eq!(pipe.dialled().len(), connections, "a connection with more to say is not used again");
    }
}

/// What has no size of its own has a time: answers that are none yet, and zeros before the size of a chunk, which are
/// read and not kept, as fast as they come.
#[tokio::test]
async fn floods_that_take_no_memory_end_with_their_time() {
    let informational = ("", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100));
    let zeros = ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0".repeat(10_000));
    for (head, piece) in [informational, zeros] {
        let (pipe, _) = endless(head, piece);
        let short = Duration::from_millis(100);
        let timeouts = Timeouts { first_byte: short, idle: short, ..Timeouts::default() };
        let gateway = configured(GatewayConfig { timeouts, ..GatewayConfig::default() }, Names::new(&[&[PUBLIC]]), pipe);
        let error = match fetch(&gateway).await {
            Ok(mut response) => read(&mut response).await.expect_err(head),
            Err(error) => error,
        };
        assert_fault(&error, EgressErrorKind::Timeout, true);
    }
}

/// What a body would become does not matter: it counts as it comes, and nobody unpacks it.
#[tokio::test]
async fn a_bomb_of_any_encoding_counts_as_it_comes() {
    for encoding in ["gzip", "br", "zstd", "deflate, gzip"] {
        // The beginning of a stream of zeros, ten for each byte that would follow, whatever unpacks it.
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 10\r\n\r\n\u{1f}_________");
        let mut quota = EgressQuota::new(1, 10, Instant::now() + Duration::from_secs(30));
        let mut response = fetch_under(&public(Pipe::answering(answer)), &mut quota).await.expect("an answer");
        assert_eq!(read(&mut response).await.expect("as much as there may be").len(), 10);
        assert_eq!(quota.bytes(), 10);
    }
}
