//! A map from absolute paths to small values that takes little memory for many paths: they stand in sorted
//! blocks, and each is stored as what it does not share with the one before it. A lookup finds the block by
//! bisection and walks through it; an insertion or a removal rewrites the one place in the one block.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Paths with a value each. They are told apart byte by byte, so `/a//b` is not `/a/b`.
#[derive(Debug)]
pub struct Packed<V> {
    /// None of them is empty, and each stands wholly before the next. Blocks are split but never joined: what
    /// is left of many paths takes no more than they took.
    blocks: Vec<Block<V>>,
}

/// Longer blocks need fewer paths in full, shorter ones are walked through faster.
const FULL: usize = 64;

#[derive(Debug)]
struct Block<V> {
    /// For each path: how many bytes it shares with the one before it (as many as it can; the first path of a
    /// block none), how many bytes follow, and these bytes.
    paths: Vec<u8>,
    values: Vec<V>,
}

/// A path as a block holds it.
struct Entry<'a> {
    shared: usize,
    suffix: &'a [u8],
    /// Where the next entry begins.
    end: usize,
}

/// Where a path is in a block, or where it belongs.
struct Spot {
    index: usize,
    offset: usize,
    is_taken: bool,
    /// How many bytes the path shares with the entry before this spot.
    before: usize,
    /// How many bytes it shares with the entry that is now at this spot.
    after: usize,
}

impl<V> Default for Packed<V> {
    fn default() -> Self {
        Packed { blocks: Vec::new() }
    }
}

impl<V: Copy> Packed<V> {
    /// The value of `path`.
    pub fn get(&self, path: &Path) -> Option<V> {
        let path = path.as_os_str().as_bytes();
        let block = self.blocks.get(self.place(path))?;
        let spot = block.seek(path);
        spot.is_taken.then(|| block.values[spot.index])
    }

    /// Gives `path` the value `value`.
    pub fn insert(&mut self, path: &Path, value: V) {
        let bytes = path.as_os_str().as_bytes();
        let place = self.place(bytes);
        let Some(block) = self.blocks.get_mut(place) else {
            return self.blocks.push(Block::of(bytes, value));
        };
        let spot = block.seek(bytes);
        if spot.is_taken {
            block.values[spot.index] = value;
        } else if block.values.len() < FULL {
            block.insert(&spot, bytes, value);
        } else if spot.index == FULL {
            // Paths that come in order leave full blocks behind, not halves.
            self.blocks.insert(place + 1, Block::of(bytes, value));
        } else {
            let upper = block.split();
            self.blocks.insert(place + 1, upper);
            self.insert(path, value);
        }
    }

    /// Forgets `path`.
    pub fn remove(&mut self, path: &Path) {
        let path = path.as_os_str().as_bytes();
        let place = self.place(path);
        let Some(block) = self.blocks.get_mut(place) else { return };
        let spot = block.seek(path);
        if spot.is_taken {
            block.remove(&spot);
        }
        if block.values.is_empty() {
            self.blocks.remove(place);
        }
    }

    /// `dir` and all paths below it, in order.
    pub fn below(&self, dir: &Path) -> impl Iterator<Item = (PathBuf, V)> {
        let dir = dir.as_os_str().as_bytes();
        let dir = dir.strip_suffix(b"/").unwrap_or(dir);
        let blocks = self.blocks.get(self.place(dir)..).unwrap_or_default();
        let entries = blocks.iter().flat_map(move |block| block.entries_from(dir));
        let is_within = move |path: &[u8]| {
            path.strip_prefix(dir).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        entries
            .take_while(move |(path, _)| is_within(path))
            .map(|(path, value)| (PathBuf::from(OsString::from_vec(path)), value))
    }

    /// The number of the block that holds `path` if any does. There is a block of that number unless there are none.
    fn place(&self, path: &[u8]) -> usize {
        let begins_at_or_before = |block: &Block<V>| compare(block.first(), path).1.is_le();
        self.blocks.partition_point(begins_at_or_before).saturating_sub(1)
    }
}

impl<V: Copy> Block<V> {
    fn of(path: &[u8], value: V) -> Block<V> {
        let mut paths = Vec::with_capacity(path.len() + 4);
        push_entry(&mut paths, 0, path);
        Block { paths, values: vec![value] }
    }

    fn entry(&self, offset: usize) -> Option<Entry<'_>> {
        let mut at = offset;
        let shared = read_length(&self.paths, &mut at)?;
        let length = read_length(&self.paths, &mut at)?;
        let end = at + length;
        Some(Entry { shared, suffix: &self.paths[at..end], end })
    }

    fn first(&self) -> &[u8] {
        self.entry(0).map_or(&[], |entry| entry.suffix)
    }

    /// The first entry that is not before `path`. No path has to be put together for that: an entry that shares
    /// more with its predecessor than `path` does stands on the same side of `path` as the predecessor.
    fn seek(&self, path: &[u8]) -> Spot {
        let mut spot = Spot { index: 0, offset: 0, is_taken: false, before: 0, after: 0 };
        while let Some(entry) = self.entry(spot.offset) {
            if entry.shared < spot.before {
                return Spot { after: entry.shared, ..spot };
            }
            if entry.shared == spot.before {
                let (same, order) = compare(entry.suffix, &path[spot.before..]);
                if order.is_ge() {
                    return Spot { after: spot.before + same, is_taken: order.is_eq(), ..spot };
                }
                spot.before += same;
            }
            spot.offset = entry.end;
            spot.index += 1;
        }
        spot
    }

    /// The paths of the block that are not before `path`, with their values.
    fn entries_from(&self, path: &[u8]) -> impl Iterator<Item = (Vec<u8>, V)> {
        let Spot { index, mut offset, .. } = self.seek(path);
        // What the entry at the spot shares with its predecessor, it shares with `path`, which lies between.
        let mut path = path.to_vec();
        self.values[index..].iter().map_while(move |value| {
            let entry = self.entry(offset)?;
            path.truncate(entry.shared);
            path.extend_from_slice(entry.suffix);
            offset = entry.end;
            Some((path.clone(), *value))
        })
    }

    fn insert(&mut self, spot: &Spot, path: &[u8], value: V) {
        let mut bytes = Vec::new();
        push_entry(&mut bytes, spot.before, &path[spot.before..]);
        let mut end = spot.offset;
        if let Some(next) = self.entry(spot.offset) {
            push_entry(&mut bytes, spot.after, &next.suffix[spot.after - next.shared..]);
            end = next.end;
        }
        self.replace(spot.offset..end, &bytes);
        self.values.reserve_exact(1);
        self.values.insert(spot.index, value);
    }

    fn remove(&mut self, spot: &Spot) {
        let Some(gone) = self.entry(spot.offset) else { return };
        let mut bytes = Vec::new();
        let mut end = gone.end;
        if let Some(next) = self.entry(gone.end) {
            let shared = gone.shared.min(next.shared);
            let inherited = &gone.suffix[..next.shared - shared];
            push_entry(&mut bytes, shared, &[inherited, next.suffix].concat());
            end = next.end;
        }
        self.replace(spot.offset..end, &bytes);
        self.values.remove(spot.index);
        self.values.shrink_to_fit();
    }

    /// Takes the upper half out.
    fn split(&mut self) -> Block<V> {
        let half = self.values.len() / 2;
        let (mut path, mut start, mut end) = (Vec::new(), 0, 0);
        for _ in 0..=half {
            let Some(entry) = self.entry(end) else { break };
            path.truncate(entry.shared);
            path.extend_from_slice(entry.suffix);
            (start, end) = (end, entry.end);
        }
        let mut upper = Block { paths: Vec::new(), values: self.values.split_off(half) };
        push_entry(&mut upper.paths, 0, &path);
        upper.paths.extend_from_slice(&self.paths[end..]);
        upper.paths.shrink_to_fit();
        self.replace(start..self.paths.len(), &[]);
        self.values.shrink_to_fit();
        upper
    }

    /// Puts `bytes` where `range` was and leaves no room unused.
    fn replace(&mut self, range: Range<usize>, bytes: &[u8]) {
        self.paths.reserve_exact(bytes.len().saturating_sub(range.len()));
        drop(self.paths.splice(range, bytes.iter().copied()));
        self.paths.shrink_to_fit();
    }
}

/// How many bytes two paths share, and how they are ordered. A separator comes before every other byte, so that
/// a directory is followed at once by all that lies below it: `/a/b` by `/a/b/c`, and only then by `/a/b-x`.
fn compare(one: &[u8], other: &[u8]) -> (usize, Ordering) {
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    (same, one.get(same).map(rank).cmp(&other.get(same).map(rank)))
}

fn push_entry(bytes: &mut Vec<u8>, shared: usize, suffix: &[u8]) {
    push_length(bytes, shared);
    push_length(bytes, suffix.len());
    bytes.extend_from_slice(suffix);
}

/// Seven bits a byte, the lowest first; the eighth says whether more follow.
fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

fn read_length(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(length);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Random numbers (xorshift) that are the same in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % end as u64) as usize
        }

        fn path(&mut self) -> PathBuf {
            const NAMES: [&[u8]; 10] =
                [b"a", b"b", b"ab", b"a-", b"a.go", b"a b", b"\xff", b"a\xff", b"\x01", &[b'n'; 150]];
            let mut path = Vec::new();
            for _ in 0..=self.below(4) {
                path.push(b'/');
                path.extend_from_slice(NAMES[self.below(NAMES.len())]);
            }
            OsString::from_vec(path).into()
        }
    }

    fn capacity<V>(map: &Packed<V>) -> usize {
        let block = |block: &Block<V>| block.paths.capacity() + block.values.capacity() * size_of::<V>();
        map.blocks.iter().map(block).sum::<usize>() + map.blocks.capacity() * size_of::<Block<V>>()
    }

    #[test]
    fn it_holds_what_a_plain_map_holds() {
        for seed in 1..=4 {
            let mut random = Random(seed);
            let (mut map, mut model) = (Packed::default(), BTreeMap::new());
            for number in 0..40_000 {
                // It grows, shrinks and grows again.
                let insertions = if number / 10_000 % 2 == 0 { 9 } else { 2 };
                let (path, value) = (random.path(), random.below(1000));
                if random.below(10) < insertions {
                    map.insert(&path, value);
                    model.insert(path, value);
                } else {
                    map.remove(&path);
                    model.remove(&path);
                }
                let path = random.path();
                assert_eq!(map.get(&path), model.get(&path).copied(), "{path:?}, seed {seed}, step {number}");
                if number % 50 == 0 {
                    let expected =
                        model.range(path.clone()..).take_while(|(other, _)| other.starts_with(&path));
                    let expected = expected.map(|(path, value)| (path.clone(), *value));
                    assert!(map.below(&path).eq(expected), "below {path:?}, seed {seed}, step {number}");
                }
            }
            assert!(map.blocks.len() > 10, "{} blocks, seed {seed}", map.blocks.len());
            assert!(map.below(Path::new("/")).eq(model.clone()), "seed {seed}");
            model.keys().for_each(|path| map.remove(path));
            assert_eq!(capacity(&map), map.blocks.capacity() * size_of::<Block<usize>>(), "seed {seed}");
        }
    }

    #[test]
    fn a_name_is_not_below_one_that_it_begins_with() {
        let mut map = Packed::default();
        for path in ["/a/b/c", "/a/b-x", "/a/bc", "/a/b", "/a/b/c/d", "/a/b.go", "/a"] {
            map.insert(Path::new(path), ());
        }
        let below = |dir: &str| -> Vec<_> { map.below(Path::new(dir)).map(|(path, ())| path).collect() };
        assert_eq!(below("/a/b"), ["/a/b", "/a/b/c", "/a/b/c/d"].map(PathBuf::from));
        assert_eq!(below("/a/b/"), below("/a/b"));
        assert_eq!(below("/a/bc"), [PathBuf::from("/a/bc")]);
        assert_eq!(below("/").len(), 7);
        assert!(below("/b").is_empty());
    }

    #[test]
    fn a_large_tree_takes_less_than_three_megabytes() {
        let path = |number: usize| {
            let dir =
                "/home/somebody/projects/company/backend/services/internal/implementation/of-the-service";
            let (area, package) = (number / 100, number % 100);
            PathBuf::from(format!(
                "{dir}/business-area-{area:03}/package-{package:02}/handler_{number:05}.go"
            ))
        };
        // Every path once, in an order that follows none of the names.
        let mut map = Packed::default();
        for number in 0..50_000 {
            map.insert(&path(number * 7919 % 50_000), [0_u64; 2]);
        }
        assert_eq!(map.below(Path::new("/home")).count(), 50_000);
        let bytes = capacity(&map);
        assert!((1_000_000..3_000_000).contains(&bytes), "{bytes} bytes");
    }
}
