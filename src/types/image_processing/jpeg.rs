//! Whether a JPEG has its end.

/// Ends a picture.
const END: u8 = 0xd9;

/// Whether the marker of its end stands behind its pixels: else it was cut short.
pub fn is_whole(file: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // What is no marker is skipped: pixels, and bytes that fill up.
        let Some(marker) = next_marker(file, &mut at) else { return false };
        match marker {
            END => return true,
            // They have no length, or stand within pixels.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(length) = file.get(at..at + 2) else { return false };
                at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            }
        }
    }
}

/// The next marker from there on, and what follows it.
fn next_marker(file: &[u8], at: &mut usize) -> Option<u8> {
    while let Some([first, second]) = file.get(*at..*at + 2) {
        if *first == 0xff && !matches!(second, 0x00 | 0xff) {
            *at += 2;
            return Some(*second);
        }
        *at += 1;
    }
    None
}
