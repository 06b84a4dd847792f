//! Moments in certificates, as people read them.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustls_pki_types::UnixTime;

const DAY: u64 = 24 * 60 * 60;

/// A moment of a certificate, to the second: `2026-11-21 06:44:24 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(u64);

impl Date {
    /// The same moment for arithmetic.
    pub fn system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0)
    }
}

impl From<UnixTime> for Date {
    fn from(time: UnixTime) -> Self {
        Self(time.as_secs())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY);
        let seconds = self.0 % DAY;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
///
/// Counted in years that begin in March, so that the leap day is the last of its year: month lengths then repeat in
/// groups of five that are 153 days long.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097); // of 400 years
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_people_read_them() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_078_012_800, "2004-02-29 00:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (1_795_243_464, "2026-11-21 06:44:24 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(Date(seconds).to_string(), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut before = civil(0);
        for day in 1..=146_097 {
            let today = civil(day);
            let next_month = if before.1 == 12 { (before.0 + 1, 1, 1) } else { (before.0, before.1 + 1, 1) };
            assert!(
                today == (before.0, before.1, before.2 + 1) || today == next_month,
                "{before:?} {today:?}"
            );
            assert!((28..=31).contains(&before.2) || today != next_month);
            before = today;
        }
        assert_eq!(before, (2370, 1, 1));
    }
}
