//! The groups of a join code: octets as Crockford base32, five characters and a check character each.

use super::JoinCodeError;

/// Crockford's 32 symbols, by value.
pub const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a group that carry data.
pub const GROUP_DATA: usize = 5;
const GROUP: usize = GROUP_DATA + 1;

/// The data of one group: five values below 32.
pub type Group = [u8; GROUP_DATA];

/// Writes octets as groups, the last one filled up with zero bits.
pub fn write(octets: &[u8]) -> String {
    let groups = (0..count(octets.len())).map(|place| {
        let data = std::array::from_fn(|i| value_at(octets, place * GROUP_DATA + i));
        write_group(&data, place)
    });
    groups.collect::<Vec<_>>().join("-")
}

fn write_group(data: &Group, place: usize) -> String {
    let values = data.iter().copied().chain([check_value(data, place)]);
    values.map(|value| char::from(ALPHABET[usize::from(value)])).collect()
}

/// The five bits at `index * 5`, with zeros after the end.
fn value_at(octets: &[u8], index: usize) -> u8 {
    let bit = index * 5;
    let octet = |i: usize| u16::from(octets.get(i).copied().unwrap_or(0));
    let window = octet(bit / 8) << 8 | octet(bit / 8 + 1);
    (window >> (11 - bit % 8) & 0x1f) as u8
}

/// Splits into checked groups of five values; the flag tells of an incomplete last group.
pub fn read(text: &str) -> Result<(Vec<Group>, bool), JoinCodeError> {
    let mut groups = Vec::new();
    let mut words =
        text.split(|c: char| c == '-' || c.is_whitespace()).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let characters: Vec<char> = word.chars().collect();
        for group in characters.chunks(GROUP) {
            if group.len() < GROUP && words.peek().is_none() {
                return Ok((groups, true));
            }
            let values = read_group(group, groups.len());
            let mistyped =
                || JoinCodeError::Mistyped { group: groups.len() + 1, text: group.iter().collect() };
            groups.push(values.ok_or_else(mistyped)?);
        }
    }
    Ok((groups, false))
}

fn read_group(group: &[char], place: usize) -> Option<Group> {
    let values: Vec<u8> = group.iter().copied().map(value_of).collect::<Option<_>>()?;
    let (data, check) = values.split_at_checked(GROUP_DATA)?;
    let data: Group = data.try_into().ok()?;
    (check == [check_value(&data, place)]).then_some(data)
}

fn value_of(character: char) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET
        .iter()
        .position(|symbol| char::from(*symbol) == character)
        .and_then(|value| u8::try_from(value).ok())
}

/// A weighted sum over GF(32): the weights differ and none is zero, so that one wrong value and any two exchanged
/// values change it; the place changes it too, so that exchanged groups are found.
fn check_value(data: &Group, place: usize) -> u8 {
    let place = u8::try_from(place % 32).expect("less than 32");
    let weighted = data.iter().zip(1..).map(|(value, power)| times_alpha(*value, power));
    weighted.fold(place, |sum, term| sum ^ term)
}

/// Multiplies by alpha^power in GF(2^5) with x^5 + x^2 + 1.
fn times_alpha(value: u8, power: u8) -> u8 {
    (0..power).fold(value, |value, _| {
        let shifted = value << 1;
        if shifted & 0x20 == 0 { shifted } else { shifted ^ 0x25 }
    })
}

/// The octets that the groups hold, the padding included.
pub fn to_octets(groups: &[Group]) -> Vec<u8> {
    let (mut octets, mut buffer, mut bits) = (Vec::new(), 0u32, 0);
    for value in groups.iter().flatten() {
        buffer = (buffer << 5 | u32::from(*value)) & 0x1fff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            octets.push((buffer >> bits & 0xff) as u8);
        }
    }
    if bits > 0 {
        octets.push((buffer << (8 - bits) & 0xff) as u8);
    }
    octets
}

/// How many groups hold so many octets.
pub fn count(octets: usize) -> usize {
    (octets * 8).div_ceil(5 * GROUP_DATA)
}
