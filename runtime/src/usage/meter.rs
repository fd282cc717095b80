//! How the tokens of a model call are counted, in tokens or in money.

use super::Currency;
use crate::driver::profile::ModelCost;
use crate::event::TokenUsage;

/// The unit of money: a billionth of a US dollar. The cheapest models cost tens of them for a token.
pub const NANOS_PER_USD: u64 = 1_000_000_000;
/// A price of one dollar per million tokens, in billionths of a dollar per token.
const NANOS_PER_PRICE: f64 = 1_000.0;

/// How use is counted for one charge.
#[derive(Debug, Clone, PartialEq)]
pub enum Meter {
    /// Each token is one.
    Tokens,
    /// What it costs, in billionths of a dollar.
    Money(ModelCost),
}

impl Meter {
    /// What it counts in.
    pub fn currency(&self) -> Currency {
        match self {
            Self::Tokens => Currency::Tokens,
            Self::Money(_) => Currency::Usd,
        }
    }

    /// What a use amounts to, rounded up.
    pub fn amount(&self, usage: &TokenUsage) -> u64 {
        match self {
            Self::Tokens => usage.total(),
            Self::Money(cost) => {
                let (input, output) = rates(cost, input_of(usage));
                let of = |tokens: u64, price: f64| tokens as f64 * price * NANOS_PER_PRICE;
                let nanos = of(usage.input_tokens, input)
                    + of(usage.cache_read_tokens, cost.cache_read.unwrap_or(input))
                    + of(usage.cache_creation_tokens, cost.cache_write.unwrap_or(input))
                    + of(usage.output_tokens, output);
                // A float becomes the nearest number that fits.
                nanos.ceil() as u64
            }
        }
    }

    /// The most that so many tokens of input and of output can amount to, whatever a vendor serves
    /// from its cache.
    pub fn most(&self, input: u64, output: u64) -> u64 {
        self.amount(&self.dearest(input, output))
    }

    /// How many tokens of output fit into what is left, beside so many of input; at most `wanted`.
    pub fn affordable(&self, left: u64, input: u64, wanted: u64) -> u64 {
        let rest = left.saturating_sub(self.most(input, 0));
        let fits = match self {
            Self::Tokens => rest,
            Self::Money(cost) => {
                let (_, output) = rates(cost, input);
                // Rounded down, and one less: two amounts that are rounded up can exceed their sum.
                ((rest as f64 / (output * NANOS_PER_PRICE)).floor() as u64).saturating_sub(1)
            }
        };
        fits.min(wanted)
    }

    fn dearest(&self, input: u64, output: u64) -> TokenUsage {
        let plain = TokenUsage { output_tokens: output, ..TokenUsage::default() };
        let Self::Money(cost) = self else { return TokenUsage { input_tokens: input, ..plain } };
        let (rate, _) = rates(cost, input);
        if cost.cache_write.is_some_and(|write| write > rate) {
            TokenUsage { cache_creation_tokens: input, ..plain }
        } else {
            TokenUsage { input_tokens: input, ..plain }
        }
    }
}

fn input_of(usage: &TokenUsage) -> u64 {
    usage.input_tokens + usage.cache_read_tokens + usage.cache_creation_tokens
}

/// Prices of input and output for an input of this length.
fn rates(cost: &ModelCost, input: u64) -> (f64, f64) {
    let tier = cost.tiers.iter().filter(|tier| input > tier.above_input_tokens).max_by_key(|tier| tier.above_input_tokens);
    tier.map_or((cost.input, cost.output), |tier| (tier.input, tier.output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::profile::CostTier;

    fn priced() -> Meter {
        let tiers = vec![
            CostTier { above_input_tokens: 1_000_000, input: 20.0, output: 60.0 },
            CostTier { above_input_tokens: 200_000, input: 6.0, output: 22.5 },
        ];
        Meter::Money(ModelCost { input: 3.0, output: 15.0, cache_read: Some(0.3), cache_write: Some(3.75), tiers })
    }

    #[test]
    fn a_use_costs_what_its_tokens_cost() {
        let usage = |input_tokens, cache_read_tokens, cache_creation_tokens, output_tokens| TokenUsage {
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_creation_tokens,
            reasoning_tokens: 0,
        };
        let check = |usage: TokenUsage, nanos: u64| assert_eq!(priced().amount(&usage), nanos, "{usage:?}");
        check(usage(0, 0, 0, 0), 0);
        check(usage(1_000_000, 0, 0, 0), 6 * NANOS_PER_USD);
        check(usage(200_000, 0, 0, 0), 600_000_000);
        check(usage(100, 1_000, 10, 20), 300_000 + 300_000 + 37_500 + 300_000);
        check(usage(1_000_001, 0, 0, 1), 20_000_020_000 + 60_000);
        assert_eq!(Meter::Tokens.amount(&usage(1, 2, 4, 8)), 15);
        let cheap = Meter::Money(ModelCost { input: 0.0001, output: 0.0001, ..ModelCost::default() });
        assert_eq!(cheap.amount(&usage(1, 0, 0, 0)), 1, "a part of a unit is one");
    }

    #[test]
    fn what_is_affordable_is_never_more_than_what_is_left() {
        for meter in [Meter::Tokens, priced(), Meter::Money(ModelCost { input: 0.07, output: 0.31, ..ModelCost::default() })] {
            for left in [0, 1, 999, 123_456, 40_000_000, 3 * NANOS_PER_USD] {
                for input in [0, 1, 777, 199_999, 200_001] {
                    let output = meter.affordable(left, input, 64_000);
                    assert!(output <= 64_000);
                    assert!(output == 0 || meter.most(input, output) <= left, "{meter:?} {left} {input} {output}");
                }
            }
        }
        assert_eq!(Meter::Tokens.affordable(1_000, 400, 64_000), 600);
        assert_eq!(Meter::Tokens.affordable(1_000, 400, 500), 500);
        assert_eq!(Meter::Tokens.affordable(1_000, 1_001, 500), 0);
    }
}
