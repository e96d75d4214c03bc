//! The time as the user's clock on the wall shows it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Hour and minute of `at` in the user's time zone (localtime_r(3)); `None` before 1970.
pub fn time_of_day(at: SystemTime) -> Option<(i32, i32)> {
    let seconds = at.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let seconds = seconds.try_into().ok()?;
    let mut broken_down = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, and a zeroed tm is a valid one.
    let broken_down = unsafe {
        if libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr()).is_null() {
            return None;
        }
        broken_down.assume_init()
    };
    Some((broken_down.tm_hour, broken_down.tm_min))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_zones_are_quarters_of_an_hour_off() {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let (hour, minute) = time_of_day(at).unwrap();
        // 22:13 UTC.
        assert!((0..24).contains(&hour) && (minute - 13) % 15 == 0, "{hour}:{minute}");
        assert_eq!(time_of_day(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
