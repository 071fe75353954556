//! The data of LOC (RFC 1876): a place on Earth, and how exactly it is known.

use super::read::number;
use super::word::Word;

/// The equator and the prime meridian, in thousandths of a second of arc.
const ORIGIN: u32 = 1 << 31;
/// Below the reference spheroid, in centimetres.
const DEPTH: u32 = 10_000_000;
/// RFC 1876 §3: size, horizontal and vertical precision where nothing is said: 1 m, 10 km, 10 m.
const PRECISIONS: [u8; 3] = [0x12, 0x16, 0x13];
/// Thousandths of a second in a degree, a minute and a second.
const UNITS: [u32; 3] = [3_600_000, 60_000, 1000];

/// Reads `d [m [s]] N|S d [m [s]] E|W altitude [size [horizontal [vertical]]]`.
pub(super) fn read(words: &[Word]) -> Option<Vec<u8>> {
    let mut words = words.iter().map(|word| word.text.as_str());
    let latitude = angle(&mut words, ["N", "S"], 90)?;
    let longitude = angle(&mut words, ["E", "W"], 180)?;
    let altitude = centimetres(words.next()?)?.checked_add(i64::from(DEPTH))?;
    let mut precisions = PRECISIONS;
    for (precision, word) in precisions.iter_mut().zip(&mut words) {
        *precision = exponential(centimetres(word)?)?;
    }
    let numbers = [latitude, longitude, u32::try_from(altitude).ok()?];
    let wire = [0].into_iter().chain(precisions).chain(numbers.into_iter().flat_map(u32::to_be_bytes));
    words.next().is_none().then(|| wire.collect())
}

/// Writes all of it; `None` for another version, or numbers that are no place.
pub(super) fn text(rdata: &[u8]) -> Option<String> {
    let ([0, precisions @ ..], numbers) = rdata.split_first_chunk::<4>()? else { return None };
    let mut numbers = numbers.chunks(4).map(|chunk| chunk.try_into().ok().map(u32::from_be_bytes));
    let latitude = angle_text(numbers.next()??, ["N", "S"], 90)?;
    let longitude = angle_text(numbers.next()??, ["E", "W"], 180)?;
    let altitude = metres(i64::from(numbers.next()??) - i64::from(DEPTH));
    let precisions = precisions.iter().map(|octet| metres_of(*octet)).collect::<Option<Vec<_>>>()?;
    numbers.next().is_none().then(|| format!("{latitude} {longitude} {altitude} {}", precisions.join(" ")))
}

fn angle<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    [positive, negative]: [&str; 2],
    most: u32,
) -> Option<u32> {
    let mut total = 0u32;
    for unit in UNITS.into_iter().map(Some).chain([None]) {
        let word = words.next()?;
        let is_first = unit == Some(UNITS[0]);
        if !is_first && word.eq_ignore_ascii_case(positive) {
            return (total <= most * UNITS[0]).then(|| ORIGIN.checked_add(total))?;
        }
        if !is_first && word.eq_ignore_ascii_case(negative) {
            return (total <= most * UNITS[0]).then(|| ORIGIN.checked_sub(total))?;
        }
        let thousandths = if unit? == UNITS[2] {
            u32::try_from(decimal(word, 3)?).ok()?
        } else {
            number::<u32>(word)?.checked_mul(unit?)?
        };
        total = total.checked_add(thousandths)?;
    }
    None
}

fn angle_text(number: u32, [positive, negative]: [&str; 2], most: u32) -> Option<String> {
    let (total, side) =
        if number >= ORIGIN { (number - ORIGIN, positive) } else { (ORIGIN - number, negative) };
    let (degrees, rest) = (total / UNITS[0], total % UNITS[0]);
    let (minutes, rest) = (rest / UNITS[1], rest % UNITS[1]);
    let text = format!("{degrees} {minutes} {}.{:03} {side}", rest / 1000, rest % 1000);
    (total <= most * UNITS[0]).then_some(text)
}

/// Metres with at most two decimals and an optional `m`.
fn centimetres(text: &str) -> Option<i64> {
    let text = text.strip_suffix(['m', 'M']).unwrap_or(text);
    match text.strip_prefix('-') {
        Some(depth) => i64::try_from(decimal(depth, 2)?).ok()?.checked_neg(),
        None => i64::try_from(decimal(text, 2)?).ok(),
    }
}

/// A number with at most this many decimals, times ten to their power.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_fraction = (1..=places).contains(&fraction.len());
    let power = 10u64.checked_pow(u32::try_from(places).ok()?)?;
    let fraction = number::<u64>(&format!("{fraction:0<places$}")).filter(|_| is_fraction)?;
    number::<u64>(whole)?.checked_mul(power)?.checked_add(fraction)
}

fn metres(centimetres: i64) -> String {
    let sign = if centimetres < 0 { "-" } else { "" };
    let centimetres = centimetres.unsigned_abs();
    format!("{sign}{}.{:02}m", centimetres / 100, centimetres % 100)
}

/// RFC 1876 §2: a digit, and the power of ten that it is multiplied with.
fn exponential(centimetres: i64) -> Option<u8> {
    let (mut base, mut exponent) = (centimetres, 0u8);
    while base > 9 {
        (base, exponent) = (base / 10, exponent + 1);
    }
    let base = u8::try_from(base).ok()?;
    (exponent <= 9).then_some(base << 4 | exponent)
}

fn metres_of(octet: u8) -> Option<String> {
    let (base, exponent) = (octet >> 4, octet & 15);
    let is_canonical = base <= 9 && exponent <= 9 && (base > 0 || exponent == 0);
    is_canonical.then(|| metres(i64::from(base) * 10i64.pow(u32::from(exponent))))
}
