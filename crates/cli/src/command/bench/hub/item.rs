//! What is published: who, the how many-th, and when it was due, filled up to the size that was asked for.

use trunkline_client::dialect::{BadJson, Json};

use super::super::payload::Payloads;

/// The fewest bytes of a publication. What it says about itself has at most 62: brackets, commas and quotes, and numbers
/// of 10, 10, 17 and 17 digits.
const LEAST: usize = 64;

/// Publications of one run and one size.
pub(super) struct Items {
    /// Tells this run's publications from what else is in the channel.
    run: u32,
    size: usize,
    filling: Payloads,
}

/// What a publication says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) publisher: u32,
    pub(super) number: u64,
    /// When it was due, in nanoseconds after the beginning of the load.
    pub(super) at: u64,
}

/// Why a publication is not one of these.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// Somebody else has published it.
    Foreign,
    /// It is ours, and not as we published it.
    Damaged,
}

/// As it is written: an array of the run, the publisher, the number, the moment, and what fills it up.
type Wire<'a> = (u32, u32, u64, u64, &'a str);

impl Items {
    /// # Errors
    ///
    /// In words: the size is too small.
    pub(super) fn new(size: usize) -> Result<Self, String> {
        if size < LEAST {
            return Err(format!(
                "a publication says who, which and when in at least {LEAST} bytes, got {size}"
            ));
        }
        Ok(Self { run: rand::random(), size, filling: Payloads::text(size) })
    }

    /// Bytes of a publication's data, as JSON.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The data of a publication.
    ///
    /// # Errors
    ///
    /// None: it is an array of numbers and a text.
    pub(super) fn write(&self, item: Item) -> Result<Json, BadJson> {
        Json::of(&self.wire(item))
    }

    /// What a publication is.
    pub(super) fn read(&self, data: &Json) -> Result<Item, Stray> {
        // A text that has escapes cannot be borrowed, and is none of ours either.
        let (run, publisher, number, at, filling) =
            serde_json::from_str::<Wire<'_>>(data.get()).map_err(|_| Stray::Foreign)?;
        if run != self.run {
            return Err(Stray::Foreign);
        }
        let item = Item { publisher, number, at };
        let intact = data.get().len() == self.size && self.wire(item).4 == filling;
        intact.then_some(item).ok_or(Stray::Damaged)
    }

    fn wire(&self, Item { publisher, number, at }: Item) -> Wire<'_> {
        let said = "[,,,,\"\"]".len()
            + [self.run.into(), publisher.into(), number, at].map(digits).iter().sum::<usize>();
        let length = self.size.saturating_sub(said);
        (self.run, publisher, number, at, self.filling.beginning(publisher.into(), number, length))
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Item = Item { publisher: u32::MAX, number: 10_u64.pow(17) - 1, at: 10_u64.pow(17) - 1 };

    #[test]
    fn a_publication_has_exactly_its_size_and_is_read_as_it_was_written() {
        for size in [LEAST, 128, 65_536] {
            let items = Items { run: u32::MAX, ..Items::new(size).expect("large enough") };
            for item in
                [Item { publisher: 0, number: 0, at: 0 }, Item { publisher: 7, number: 1234, at: 999 }, LAST]
            {
                let data = items.write(item).expect("JSON");
                assert_eq!((data.get().len(), items.read(&data)), (size, Ok(item)), "{}", data.get());
            }
        }
        let why = Items::new(LEAST - 1).err().unwrap_or_default();
        assert!(why.contains("at least 64 bytes, got 63"), "{why}");
    }

    #[test]
    fn what_others_publish_is_foreign_and_what_is_changed_is_damaged() {
        let items = Items { run: 5, ..Items::new(LEAST).expect("large enough") };
        for text in ["1", "\"text\"", "[4,1,2,3,\"\"]", "{\"a\":1}", "[5,1,2,3,\"\\u0041\"]"] {
            assert_eq!(items.read(&Json::parse(text).expect("JSON")), Err(Stray::Foreign), "{text}");
        }
        let data = items.write(Item { publisher: 1, number: 2, at: 3 }).expect("JSON");
        let longer = data.get().replace("\"]", " \"]");
        let other = data.get().replace("[5,1,2,", "[5,1,3,");
        for text in [longer, other] {
            assert_eq!(items.read(&Json::parse(&text).expect("JSON")), Err(Stray::Damaged), "{text}");
        }
    }
}
