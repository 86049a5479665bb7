//! Memory that one picture leaves to the next, so that it is neither asked for nor emptied again.

use fast_image_resize::Resizer;

/// More is given back after each picture: it is not counted while its process waits for the next one.
const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;

/// What there is. What a picture left in it is never seen in another.
#[derive(Default)]
pub struct Room {
    /// For the pixels of a file.
    pub pixels: Vec<u8>,
    /// For a file as its decoder wants it.
    pub file: Vec<u8>,
    /// With what it needs beside them.
    pub resizer: Resizer,
}

impl Room {
    /// Takes the pixels back.
    pub fn leave(&mut self, pixels: Vec<u8>) {
        self.pixels = pixels;
        let kept = self.pixels.capacity() + self.file.capacity() + self.resizer.size_of_internal_buffers();
        if kept > MAX_KEPT_BYTES {
            *self = Room::default();
        }
    }
}
