//! Guests that talk to a third party on this machine, whose port is known only once it listens.

/// The component with this port in place of the one that it was built with.
pub(crate) fn with_port(mut wasm: Vec<u8>, port: u16) -> Vec<u8> {
    let (from, to) = (b"127.0.0.1:65535", format!("127.0.0.1:{port}"));
    assert_eq!(from.len(), to.len(), "ports of the system have five digits");
    let places: Vec<usize> = (0..wasm.len() - from.len()).filter(|&at| wasm[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "the port is not in the component");
    for at in places {
        wasm[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    wasm
}
