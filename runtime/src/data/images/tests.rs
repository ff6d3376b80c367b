use super::*;
use crate::data::{Dataset, open_for};
use crate::testing::Folder;
use image::{DynamicImage, ImageFormat, Rgb};

/// The bytes of an image whose left half is red and whose right half has this blue.
fn picture(width: u32, height: u32, blue: u8, format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, _| match x < width / 2 {
        true => Rgb([255, 0, 0]),
        false => Rgb([0, 0, blue]),
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(image).write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

fn folder(name: &str) -> Result<Folder, Error> {
    let folder = Folder::new(name)?;
    for part in ["train", "val"] {
        for (class, blue) in [("cat", 0), ("dog", 255)] {
            let path = folder.file(&format!("{part}/{class}"));
            std::fs::create_dir_all(&path).map_err(|e| Error::io(&path, "create", e))?;
            folder.write(&format!("{part}/{class}/a.png"), &picture(40, 20, blue, ImageFormat::Png))?;
        }
    }
    Ok(folder)
}

fn request(shape: &[usize]) -> Request {
    Request { shape: Some(shape.to_vec()), ..Request::default() }
}

fn open(folder: &Folder, shape: &[usize]) -> Result<Dataset, Error> {
    open_for(&folder.path().display().to_string(), &request(shape))
}

#[test]
fn every_format_is_told_by_its_bytes() -> Result<(), Error> {
    let folder = folder("images")?;
    // A name may lie.
    for (name, format) in [
        ("b.JPEG", ImageFormat::Png),
        ("c.png", ImageFormat::Jpeg),
        ("d.jpg", ImageFormat::Bmp),
        ("e.bmp", ImageFormat::Pnm),
    ] {
        folder.write(&format!("train/dog/{name}"), &picture(40, 20, 255, format))?;
    }
    folder.write("train/dog/notes.txt", b"not an image, passed over")?;
    let data = open(&folder, &[3, 8, 8])?;
    assert_eq!((data.classes, data.about.classes.clone()), (2, vec!["cat".to_string(), "dog".to_string()]));
    assert_eq!(data.train.labels(), [0, 1, 1, 1, 1, 1]);
    let mut image = vec![0.0; 192];
    for index in 1..6 {
        data.train.write_sample(index, &mut image)?;
        // Rows of the centre: red on the left, blue on the right.
        let at = |channel: usize, x: usize| image[channel * 64 + 3 * 8 + x];
        let (high, low) = ((1.0 - 0.485) / 0.229, -0.485 / 0.229);
        assert!((at(0, 0) - high).abs() < 0.1 && (at(0, 7) - low).abs() < 0.1, "sample {index}: {image:?}");
        assert!((at(2, 7) - (1.0 - 0.406) / 0.225).abs() < 0.1);
    }
    Ok(())
}

#[test]
fn training_crops_depend_on_the_draw_alone() -> Result<(), Error> {
    let folder = folder("images-crop")?;
    let data = open(&folder, &[3, 8, 8])?;
    let sample = |epoch| {
        let mut image = vec![0.0; 192];
        data.train.write_varied(1, 3, epoch, &mut image).map(|()| image)
    };
    assert_eq!(sample(0)?, sample(0)?);
    let distinct = (0..8)
        .map(|epoch| sample(epoch).map(|v| format!("{v:?}")))
        .collect::<Result<std::collections::HashSet<_>, _>>()?;
    assert!(distinct.len() > 4, "{}", distinct.len());
    Ok(())
}

#[test]
fn grey_networks_get_grey_images() -> Result<(), Error> {
    let folder = folder("images-grey")?;
    let data = open(&folder, &[1, 6, 6])?;
    let mut image = vec![0.0; 36];
    data.test.write_sample(0, &mut image)?;
    // Red is 76 of 255 grey, black 0.
    assert!((image[0] - ((76.0 / 255.0 - 0.449) / 0.226) as f32).abs() < 1e-4, "{image:?}");
    assert!((image[5] - (-0.449 / 0.226) as f32).abs() < 1e-4);
    Ok(())
}

#[test]
fn sizes_are_torchvisions() {
    assert_eq!(cover(500, 375, 224, 224), (341, 256));
    assert_eq!(cover(375, 500, 224, 224), (256, 341));
    assert_eq!(cover(32, 32, 32, 32), (37, 37));
    let mut rng = Draw { seed: 1, epoch: 0, sample: 0 }.rng(CROP);
    for _ in 0..500 {
        let [left, top, w, h] = random_part(50, 30, 0.08, &mut rng);
        assert!(w > 0 && h > 0 && left + w <= 50 && top + h <= 30);
    }
    // No crop of the proportions fits a line: its middle is taken.
    assert_eq!(random_part(100, 1, 0.9, &mut rng), [49, 0, 1, 1]);
}

#[test]
fn bad_folders_and_files_are_named() -> Result<(), Error> {
    let folder = folder("images-bad")?;
    let whole = picture(40, 20, 9, ImageFormat::Png);
    folder.write("val/dog/cut.png", &whole[..whole.len() / 2])?;
    folder.write("val/dog/text.jpg", b"hello")?;
    let data = open(&folder, &[3, 8, 8])?;
    let mut image = vec![0.0; 192];
    let mut message =
        |index| data.test.write_sample(index, &mut image).map_or_else(|e| e.to_string(), |()| String::new());
    assert!(message(2).contains("cut.png is not an image that can be read"), "{}", message(2));
    assert!(message(3).contains("text.jpg is not an image"), "{}", message(3));
    let fails = |shape: &[usize]| open(&folder, shape).map_or_else(|e| e.to_string(), |_| String::new());
    assert!(fails(&[4, 3, 8, 8]).contains("the network's input is [4, 3, 8, 8]"));
    std::fs::rename(folder.file("val/dog"), folder.file("val/dig"))
        .map_err(|e| Error::io(folder.path(), "move", e))?;
    assert!(
        fails(&[3, 8, 8]).contains("class `dog` is in `train` but not in `val`"),
        "{}",
        fails(&[3, 8, 8])
    );
    std::fs::rename(folder.file("val"), folder.file("vel"))
        .map_err(|e| Error::io(folder.path(), "move", e))?;
    assert!(fails(&[3, 8, 8]).contains("no `val`"));
    Ok(())
}

#[test]
fn sizes_are_changed_as_pillow_does() -> Result<(), Error> {
    let image = || {
        RgbImage::from_fn(11, 7, |x, y| {
            Rgb([
                ((x * 23 + y * 5) % 256) as u8,
                ((x * 7 + y * 31) % 256) as u8,
                ((x * x * 3 + y) % 256) as u8,
            ])
        })
    };
    // Made with Pillow 13.0: `resize((4, 3), BILINEAR)`, then with `box=(2, 1, 9, 6)`.
    let whole = [
        30, 35, 8, 88, 53, 45, 150, 71, 126, 208, 89, 168, 41, 101, 10, 99, 119, 47, 161, 137, 128, 219, 155,
        170, 52, 167, 12, 110, 185, 49, 172, 203, 130, 204, 196, 172,
    ];
    let part = [
        60, 55, 19, 100, 68, 52, 142, 80, 108, 182, 93, 179, 69, 109, 21, 109, 122, 54, 151, 134, 110, 191,
        147, 181, 78, 163, 23, 118, 176, 56, 160, 188, 112, 200, 201, 183,
    ];
    let close = |found: &[u8], expected: &[u8]| {
        assert_eq!(found.len(), expected.len());
        let far = found.iter().zip(expected).any(|(&a, &b)| a.abs_diff(b) > 1);
        assert!(!far, "{found:?}");
    };
    close(&resize(Path::new("a"), image(), None, (4, 3))?, &whole);
    close(&resize(Path::new("a"), image(), Some([2, 1, 7, 5]), (4, 3))?, &part);
    Ok(())
}

#[test]
fn damaged_images_never_panic() -> Result<(), Error> {
    let folder = folder("images-damaged")?;
    let data = open(&folder, &[3, 8, 8])?;
    let mut rng = Rng::new(1, crate::rng::Purpose::Test, 0);
    let mut to = vec![0.0; 192];
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Pnm] {
        let whole = picture(40, 20, 7, format);
        for _ in 0..60 {
            let mut bytes = whole.clone();
            (0..1 + rng.below(4)).for_each(|_| bytes[rng.below(whole.len().min(200))] = rng.bits() as u8);
            bytes.truncate(whole.len() - rng.below(2) * rng.below(whole.len()));
            folder.write("train/cat/a.png", &bytes)?;
            // Either an image or a message.
            if let Err(error) = data.train.write_sample(0, &mut to) {
                assert!(error.to_string().contains("a.png"), "{error}");
            }
        }
    }
    Ok(())
}
