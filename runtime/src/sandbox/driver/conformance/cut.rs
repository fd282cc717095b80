//! Ways to cut a body into pieces.

use bytes::Bytes;

use crate::component::Digest;

/// Places at which a body is cut in two. A longer body is cut at evenly spread ones.
const MAX_CUTS: usize = 512;
/// Cuts at several random places at once.
const RANDOM_WAYS: u64 = 32;
/// Pieces of such a cut, at most.
const MAX_RANDOM_PIECES: u64 = 16;

/// The body at once, byte by byte, cut in two at every place that is affordable, and cut at random
/// places that depend on the component alone.
pub(super) fn ways(body: &Bytes, seed: Digest) -> Vec<Vec<Bytes>> {
    let mut ways = vec![pieces(body, &[]), (0..body.len()).map(|at| body.slice(at..=at)).collect()];
    let step = body.len().div_ceil(MAX_CUTS).max(1);
    ways.extend((1..body.len()).step_by(step).map(|at| pieces(body, &[at])));
    let mut random = Random::new(seed);
    for _ in 0..RANDOM_WAYS {
        let count = 2 + random.below(MAX_RANDOM_PIECES - 1);
        let mut cuts: Vec<usize> = (1..count).filter_map(|_| usize::try_from(random.below(body.len() as u64)).ok()).collect();
        cuts.sort_unstable();
        cuts.dedup();
        ways.push(pieces(body, &cuts));
    }
    ways
}

fn pieces(body: &Bytes, cuts: &[usize]) -> Vec<Bytes> {
    let ends = cuts.iter().copied().chain([body.len()]);
    let mut begin = 0;
    let piece = |end: usize| body.slice(std::mem::replace(&mut begin, end)..end);
    ends.map(piece).filter(|piece| !piece.is_empty()).collect()
}

/// SplitMix64: even enough, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: Digest) -> Self {
        let text = seed.to_string();
        Self(text.bytes().fold(0, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into())))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_gives_the_whole_body_and_every_place_is_cut() {
        let body = Bytes::from_static("data: grüße\n\n".as_bytes());
        let ways = ways(&body, Digest::of(b"seed"));
        assert!(ways.iter().all(|pieces| pieces.concat() == body));
        for at in 1..body.len() {
            assert!(ways.contains(&vec![body.slice(..at), body.slice(at..)]), "not cut at {at}");
        }
        assert!(ways.contains(&vec![body.clone()]));
        assert!(ways.iter().any(|pieces| pieces.len() == body.len()));
    }

    #[test]
    fn long_and_empty_bodies_are_bounded() {
        let long = Bytes::from(vec![b'x'; 100_000]);
        assert!(ways(&long, Digest::of(b"seed")).len() <= MAX_CUTS + RANDOM_WAYS as usize + 2);
        assert!(ways(&Bytes::new(), Digest::of(b"seed")).iter().all(Vec::is_empty));
    }
}
