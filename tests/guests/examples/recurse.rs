//! Recurses forever, on either of the two stacks that a guest has.

use everwit_guest::prelude::*;

/// Exhausts the engine's call stack.
#[tool(read_only)]
fn recurse() -> Result<u32> {
    Ok(descend(std::hint::black_box(1)))
}

/// Exhausts the guest's own stack in linear memory.
#[tool(read_only)]
fn nest() -> Result<usize> {
    Ok(fill(std::hint::black_box(&[1; 4096])))
}

/// Goes `depth` calls deep and comes back.
#[tool(read_only)]
fn dive(depth: u32) -> Result<u32> {
    Ok(reach(depth))
}

// Without the black box the compiler makes a loop of it.
#[inline(never)]
fn reach(depth: u32) -> u32 {
    if depth == 0 { 0 } else { std::hint::black_box(reach(depth - 1)) + 1 }
}

// The inner call is no tail call and keeps nothing in linear memory.
#[expect(unconditional_recursion, clippy::only_used_in_recursion, reason = "this is what the guest is for")]
#[inline(never)]
fn descend(depth: u32) -> u32 {
    descend(descend(depth + 1))
}

#[expect(unconditional_recursion, reason = "this is what the guest is for")]
#[inline(never)]
fn fill(above: &[u8; 4096]) -> usize {
    let mut frame = *above;
    frame[usize::from(above[0])] += 1;
    fill(std::hint::black_box(&frame)) + usize::from(frame[7])
}

capability! { id: "recurse", title: "Recurse", summary: "Recurses forever.", tools: [recurse, nest, dive] }
