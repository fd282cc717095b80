//! Randomness for secrets.

/// 32 bytes from the system.
///
/// # Errors
/// If the system gives none.
pub(crate) fn secret_bytes() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}
