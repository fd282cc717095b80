//! Counters of one function body.

use wasmparser::{BlockType, FunctionBody, Operator, Result};

use super::module::ModuleShape;

/// What is counted of one body; the names are those of the rules.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) bytes: u64,
    pub(super) locals: u64,
    pub(super) loops: u64,
    pub(super) controls: u64,
    pub(super) nesting: u64,
    pub(super) br_targets: u64,
    pub(super) block_arity: u64,
    pub(super) stack_traffic: u64,
}

impl Body {
    /// Counts a body in one pass. `params` is the number of its parameters.
    pub(super) fn count(body: &FunctionBody<'_>, params: u64, shape: &ModuleShape) -> Result<Self> {
        let mut counts = Self { bytes: body.range().len() as u64, locals: params, ..Self::default() };
        for local in body.get_locals_reader()? {
            counts.locals = counts.locals.saturating_add(u64::from(local?.0));
        }
        let mut depth = 0_u64;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::Block { blockty } | Operator::If { blockty } => counts.enter(&mut depth, blockty, shape),
                Operator::Loop { blockty } => {
                    counts.loops += 1;
                    counts.enter(&mut depth, blockty, shape);
                }
                Operator::TryTable { try_table } => counts.enter(&mut depth, try_table.ty, shape),
                Operator::End => depth = depth.saturating_sub(1),
                Operator::BrTable { targets } => counts.br_targets += u64::from(targets.len()) + 1,
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    counts.stack_traffic += shape.function_arity(function_index);
                }
                Operator::CallIndirect { type_index, .. }
                | Operator::ReturnCallIndirect { type_index, .. }
                | Operator::CallRef { type_index }
                | Operator::ReturnCallRef { type_index } => counts.stack_traffic += shape.type_arity(type_index),
                _ => {}
            }
        }
        Ok(counts)
    }

    /// Loops times locals.
    pub(super) fn loops_x_locals(&self) -> u64 {
        self.loops.saturating_mul(self.locals)
    }

    fn enter(&mut self, depth: &mut u64, ty: BlockType, shape: &ModuleShape) {
        self.controls += 1;
        *depth += 1;
        self.nesting = self.nesting.max(*depth);
        if let BlockType::FuncType(index) = ty {
            self.block_arity += shape.type_arity(index);
        }
    }
}
