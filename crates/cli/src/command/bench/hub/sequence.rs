//! What of one publisher has arrived at one subscriber: what is new, what came before, what comes out of its order.

/// Memory for one publisher and one subscriber, in bytes.
pub(super) const PAIR_BYTES: u64 = size_of::<Sequence>() as u64;

/// The numbers that have arrived. Those of the last 64 are known one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    /// One more than the highest that has arrived.
    next: u64,
    /// Bit `k` says whether `next - 1 - k` has arrived.
    recent: u64,
}

/// What an arrival is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Behind all that came before.
    InOrder,
    /// For the first time, but something behind it was here earlier.
    OutOfOrder,
    /// Again.
    Duplicate,
}

impl Sequence {
    /// A number arrives. One that is further back than 64 is taken for the first of its kind.
    pub(super) fn arrive(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            let steps = number - self.next + 1;
            self.recent =
                u32::try_from(steps).ok().and_then(|steps| self.recent.checked_shl(steps)).unwrap_or(0) | 1;
            self.next = number + 1;
            return Arrival::InOrder;
        }
        let back = self.next - 1 - number;
        let bit = if back < 64 { 1 << back } else { 0 };
        if self.recent & bit != 0 {
            return Arrival::Duplicate;
        }
        self.recent |= bit;
        Arrival::OutOfOrder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::{Duplicate, InOrder, OutOfOrder};

    fn arrivals(numbers: &[u64]) -> Vec<Arrival> {
        let mut sequence = Sequence::default();
        numbers.iter().map(|number| sequence.arrive(*number)).collect()
    }

    #[test]
    fn numbers_that_rise_are_in_order_with_gaps_too() {
        assert_eq!(arrivals(&[0, 1, 2, 5, 5 + 64, 5 + 1000, u64::MAX - 1]), [InOrder; 7]);
    }

    #[test]
    fn what_comes_again_is_a_duplicate_and_what_comes_late_is_out_of_order_once() {
        assert_eq!(arrivals(&[0, 0]), [InOrder, Duplicate]);
        assert_eq!(
            arrivals(&[0, 2, 1, 1, 2, 0]),
            [InOrder, InOrder, OutOfOrder, Duplicate, Duplicate, Duplicate]
        );
        assert_eq!(arrivals(&[63, 0, 0]), [InOrder, OutOfOrder, Duplicate], "the last that is known");
        assert_eq!(arrivals(&[64, 0, 0]), [InOrder, OutOfOrder, OutOfOrder], "too far back to know");
        assert_eq!(arrivals(&[0, 64, 0]), [InOrder, InOrder, OutOfOrder], "forgotten");
    }

    #[test]
    fn a_pair_takes_sixteen_bytes() {
        assert_eq!(PAIR_BYTES, 16);
    }
}
