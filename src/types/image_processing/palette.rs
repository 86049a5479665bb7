//! The colours of a GIF's picture: 256 at most, and each pixel there or not.

use image::RgbaImage;
use std::collections::HashMap;

/// A palette has no more, what is not there included.
const MAX_COLOURS: usize = 256;
/// From this alpha on a pixel is there.
const SEEN_FROM: u8 = 128;
/// Colours are told apart by so many bits of each channel where they have to be chosen.
const BITS: u32 = 6;
/// So often each colour of the palette moves to the middle of those that are nearest to it. A third time betters little.
const ROUNDS: usize = 2;

/// A picture whose pixels are places in a palette.
pub struct Reduced {
    /// Red, green and blue of each colour.
    pub colours: Vec<u8>,
    /// Which of them is not seen.
    pub transparent: Option<u8>,
    /// One each.
    pub pixels: Vec<u8>,
}

/// Colours that are nearly the same, as one.
struct Cell {
    /// Which of them, as the table has it.
    key: usize,
    /// How many pixels have it.
    count: f32,
    mean: [f32; 3],
}

/// Cells that one colour will stand for.
struct Group {
    from: usize,
    to: usize,
    /// Of the channel that it is widest in.
    channel: usize,
    middle: f32,
    /// How much is wrong if it has one colour: the sum of squares in that channel.
    wrong: f32,
}

/// Keeps the colours where there are few enough, and else chooses those that are wrong by least.
pub fn reduce(picture: &RgbaImage) -> Reduced {
    let has_holes = picture.pixels().any(|pixel| pixel[3] < SEEN_FROM);
    let room = MAX_COLOURS - usize::from(has_holes);
    let (mut colours, mut pixels) = few(picture, room).unwrap_or_else(|| chosen(picture, room));
    let transparent = has_holes.then(|| {
        let place = colours.len() as u8;
        colours.push([0; 3]);
        let seen = picture.pixels().map(|pixel| pixel[3] >= SEEN_FROM);
        pixels.iter_mut().zip(seen).filter(|(_, seen)| !seen).for_each(|(pixel, _)| *pixel = place);
        place
    });
    Reduced { colours: colours.concat(), transparent, pixels }
}

fn rgb(pixel: &image::Rgba<u8>) -> Option<[u8; 3]> {
    let [red, green, blue, alpha] = pixel.0;
    (alpha >= SEEN_FROM).then_some([red, green, blue])
}

/// Each colour as it is. None where there is no room for them.
fn few(picture: &RgbaImage, room: usize) -> Option<(Vec<[u8; 3]>, Vec<u8>)> {
    let (mut colours, mut places) = (Vec::new(), HashMap::new());
    let (mut last, mut place) = (None, 0);
    let mut pixels = Vec::with_capacity(picture.len() / 4);
    for pixel in picture.pixels() {
        let colour = rgb(pixel);
        if let (true, Some(colour)) = (colour != last, colour) {
            place = *places.entry(colour).or_insert_with(|| {
                colours.push(colour);
                colours.len() - 1
            });
            last = Some(colour);
            if colours.len() > room {
                return None;
            }
        }
        pixels.push(place as u8);
    }
    Some((colours, pixels))
}

/// The colours are cut into groups, the widest first, until there are as many as there is room for.
fn chosen(picture: &RgbaImage, room: usize) -> (Vec<[u8; 3]>, Vec<u8>) {
    let (mut table, mut cells) = cells(picture);
    let mut groups = vec![Group::new(&cells, 0, cells.len())];
    while groups.len() < room {
        let widest = (0..groups.len()).max_by(|a, b| groups[*a].wrong.total_cmp(&groups[*b].wrong)).unwrap_or_default();
        let Group { from, to, channel, middle, wrong } = groups[widest];
        if wrong <= 0.0 {
            break;
        }
        let between = from + split(&mut cells[from..to], |cell| cell.mean[channel] < middle);
        if between == from || between == to {
            groups[widest].wrong = 0.0;
            continue;
        }
        groups[widest] = Group::new(&cells, from, between);
        groups.push(Group::new(&cells, between, to));
    }
    let mut places = vec![0; cells.len()];
    for (place, group) in groups.iter().enumerate() {
        places[group.from..group.to].fill(place as u8);
    }
    let mut colours = middles(&cells, &places, groups.len());
    for _ in 0..ROUNDS {
        let targets = Targets::new(&colours);
        places = cells.iter().map(|cell| targets.nearest(cell)).collect();
        colours = middles(&cells, &places, groups.len());
    }
    for (cell, place) in cells.iter().zip(places) {
        table[cell.key] = place.into();
    }
    let pixels = picture.pixels().map(|pixel| rgb(pixel).map_or(0, |colour| table[key(colour)] as u8)).collect();
    let round = |channel: f32| channel.round() as u8;
    (colours.iter().map(|colour| colour.map(round)).collect(), pixels)
}

fn key(colour: [u8; 3]) -> usize {
    colour.iter().fold(0, |key, channel| key << BITS | usize::from(channel >> (8 - BITS)))
}

/// The table has its cell's number and one for each key.
fn cells(picture: &RgbaImage) -> (Vec<u32>, Vec<Cell>) {
    let mut table = vec![0u32; 1 << (3 * BITS)];
    let mut sums: Vec<(usize, u64, [u64; 3])> = Vec::new();
    for colour in picture.pixels().filter_map(rgb) {
        let key = key(colour);
        if table[key] == 0 {
            sums.push((key, 0, [0; 3]));
            table[key] = sums.len() as u32;
        }
        let (_, count, sum) = &mut sums[table[key] as usize - 1];
        *count += 1;
        sum.iter_mut().zip(colour).for_each(|(sum, channel)| *sum += u64::from(channel));
    }
    let mean = |(key, count, sum): (usize, u64, [u64; 3])| {
        let count = count as f32;
        Cell { key, count, mean: sum.map(|sum| sum as f32 / count) }
    };
    (table, sums.into_iter().map(mean).collect())
}

impl Group {
    fn new(cells: &[Cell], from: usize, to: usize) -> Group {
        let cells = &cells[from..to];
        let count: f32 = cells.iter().map(|cell| cell.count).sum();
        let mut widest = Group { from, to, channel: 0, middle: 0.0, wrong: 0.0 };
        for channel in 0..3 {
            let middle = cells.iter().map(|cell| cell.mean[channel] * cell.count).sum::<f32>() / count;
            let wrong = cells.iter().map(|cell| (cell.mean[channel] - middle).powi(2) * cell.count).sum();
            if wrong > widest.wrong {
                widest = Group { channel, middle, wrong, ..widest };
            }
        }
        widest
    }
}

/// Brings those to the front for which it is true; gives how many they are.
fn split(cells: &mut [Cell], is_first: impl Fn(&Cell) -> bool) -> usize {
    let mut first = 0;
    for at in 0..cells.len() {
        if is_first(&cells[at]) {
            cells.swap(first, at);
            first += 1;
        }
    }
    first
}

/// The mean of the cells at each place.
fn middles(cells: &[Cell], places: &[u8], count: usize) -> Vec<[f32; 3]> {
    let mut sums = vec![(0.0, [0.0; 3]); count];
    for (cell, place) in cells.iter().zip(places) {
        let (count, sum) = &mut sums[usize::from(*place)];
        *count += cell.count;
        sum.iter_mut().zip(cell.mean).for_each(|(sum, channel)| *sum += channel * cell.count);
    }
    sums.into_iter().map(|(count, sum): (f32, _)| sum.map(|sum: f32| sum / count.max(1.0))).collect()
}

/// Colours as whole numbers, by channel: quarters of a step.
struct Targets([[i32; MAX_COLOURS]; 3]);

impl Targets {
    fn new(colours: &[[f32; 3]]) -> Targets {
        // Where there are fewer, the first fills the rest; of those equally near the first is taken.
        let channel = |channel: usize| {
            let of = |place| quarters(colours.get(place).unwrap_or(&colours[0])[channel]);
            std::array::from_fn(of)
        };
        Targets(std::array::from_fn(channel))
    }

    fn nearest(&self, cell: &Cell) -> u8 {
        let [red, green, blue] = cell.mean.map(quarters);
        let square = |of: i32| of * of;
        // The place stands in the last eight bits: so there is nothing to branch on.
        let far = |place: usize| {
            let far =
                square(self.0[0][place] - red) + square(self.0[1][place] - green) + square(self.0[2][place] - blue);
            far << 8 | place as i32
        };
        (0..MAX_COLOURS).map(far).min().unwrap_or_default() as u8
    }
}

fn quarters(channel: f32) -> i32 {
    (channel * 4.0 + 0.5) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    fn shown(reduced: &Reduced, place: usize) -> [u8; 4] {
        let colour = reduced.pixels[place];
        let at = usize::from(colour) * 3;
        let [red, green, blue] = reduced.colours[at..at + 3] else { panic!() };
        if reduced.transparent == Some(colour) { [0; 4] } else { [red, green, blue, 255] }
    }

    #[test]
    fn few_colours_stay_as_they_are_and_half_alpha_is_the_border() {
        // 256 colours, and 255 where there is one that is not seen.
        let full = RgbaImage::from_fn(16, 16, |x, y| Rgba([x as u8 * 16, y as u8 * 16, 7, 128]));
        let mut holed = full.clone();
        holed.put_pixel(3, 3, Rgba([200, 1, 1, 127]));
        for (picture, holes) in [(full, 0), (holed, 1)] {
            let reduced = reduce(&picture);
            assert_eq!((reduced.colours.len(), reduced.transparent.is_some()), (256 * 3, holes == 1));
            let wanted = |pixel: &Rgba<u8>| if pixel[3] < 128 { [0; 4] } else { [pixel[0], pixel[1], pixel[2], 255] };
            for (place, pixel) in picture.pixels().enumerate() {
                assert_eq!(shown(&reduced, place), wanted(pixel), "{place}");
            }
        }
    }

    #[test]
    fn what_is_hardly_there_takes_no_colour_from_the_rest() {
        let colour = |x: u32, y: u32| Rgba([(x * 4) as u8, (y * 4) as u8, ((x + y) * 2) as u8, 255]);
        let alone = RgbaImage::from_fn(60, 40, colour);
        // The same over forty rows of other colours, most of them invisible.
        let faint = |x: u32, y: u32| Rgba([(y * 3) as u8, 255 - x as u8, (x * y) as u8, (x * 2) as u8]);
        let among = RgbaImage::from_fn(60, 80, |x, y| if y < 40 { colour(x, y) } else { faint(x, y) });
        let (alone, among) = (wrong(&alone), wrong(&among));
        assert!(among < alone * 1.05, "{alone} {among}");
    }

    /// How much a channel of what is seen is wrong by, on average.
    fn wrong(picture: &RgbaImage) -> f64 {
        let reduced = reduce(picture);
        let (mut sum, mut count) = (0, 0);
        for (place, pixel) in picture.pixels().enumerate().filter(|(_, pixel)| pixel[3] >= SEEN_FROM) {
            let shown = shown(&reduced, place);
            sum += (0..3).map(|channel| u32::from(shown[channel].abs_diff(pixel[channel]))).sum::<u32>();
            count += 3;
        }
        f64::from(sum) / f64::from(count)
    }

    #[test]
    fn a_photograph_is_wrong_by_little_at_any_size() {
        let wave = |at: f64| 127.0 + 100.0 * at.sin();
        for (side, most) in [(50, 5.5), (400, 5.5)] {
            let step = 100.0 / f64::from(side);
            let photo = RgbaImage::from_fn(side, side, |x, y| {
                let (x, y) = (f64::from(x) * step, f64::from(y) * step);
                let channels =
                    [x / 17.0 + y / 31.0, x / 40.0 - y / 13.0 + 1.0, (x + y) / 23.0].map(|at| wave(at) as u8);
                Rgba([channels[0], channels[1], channels[2], 255])
            });
            let wrong = wrong(&photo);
            assert!(wrong < most, "{side}: {wrong}");
        }
    }

    #[test]
    fn pictures_of_nothing_of_one_colour_and_of_nearly_the_same_are_reduced() {
        assert_eq!(reduce(&RgbaImage::new(3, 2)).colours, [0; 3]);
        assert_eq!(reduce(&RgbaImage::from_pixel(3, 2, Rgba([9, 8, 7, 255]))).colours, [9, 8, 7]);
        // 512 colours, in eight cells.
        let near =
            RgbaImage::from_fn(32, 16, |x, y| Rgba([(x % 8) as u8, (x / 8 + y % 2 * 4) as u8, (y / 2) as u8, 255]));
        let reduced = reduce(&near);
        assert_eq!((reduced.colours.len(), wrong(&near) < 2.0), (8 * 3, true));
    }
}
