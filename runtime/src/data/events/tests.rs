use super::*;
use crate::data::{Dataset, open_for};
use crate::testing::Folder;
use std::io::{Cursor, Write};

fn request(shape: &[usize]) -> Request {
    Request { shape: Some(shape.to_vec()), ..Request::default() }
}

fn open(folder: &Folder, shape: &[usize]) -> Result<Dataset, Error> {
    open_for(&folder.path().display().to_string(), &request(shape))
}

fn message(folder: &Folder, shape: &[usize]) -> String {
    open(folder, shape).map_or_else(|e| e.to_string(), |_| String::new())
}

/// The values above 0 of a sample, with their places.
fn set(data: &Dataset, index: usize) -> Result<Vec<(usize, f32)>, Error> {
    let mut frames = vec![-1.0; data.shape.iter().product()];
    data.train.write_sample(index, &mut frames)?;
    Ok(frames.into_iter().enumerate().filter(|(_, v)| *v != 0.0).collect())
}

fn failure(data: &Dataset, index: usize) -> String {
    set(data, index).map_or_else(|e| e.to_string(), |_| String::new())
}

fn folders(folder: &Folder, paths: &[&str]) -> Result<(), Error> {
    let create = |path: &&str| std::fs::create_dir_all(folder.file(path));
    paths.iter().try_for_each(|path| create(path).map_err(|e| Error::io(folder.path(), "create", e)))
}

#[test]
fn nmnist_has_five_bytes_an_event() -> Result<(), Error> {
    let folder = Folder::new("nmnist")?;
    folders(&folder, &["Train/0", "Train/1", "Test/0", "Test/1"])?;
    // x 33, y 2, on, t 0x010203; then x 1, y 0, off, t 0x7fffff.
    let events = [33, 2, 0x81, 2, 3, 1, 0, 0x7f, 0xff, 0xff];
    for path in ["Train/0/a.bin", "Train/1/b.bin", "Test/0/a.bin", "Test/1/a.bin"] {
        folder.write(path, &events)?;
    }
    let data = open(&folder, &[2, 2, 34, 34])?;
    assert_eq!((data.name.as_str(), data.classes, data.train.labels()), ("nmnist", 2, &[0, 1][..]));
    let area = 34 * 34;
    assert_eq!(set(&data, 0)?, [(area + 2 * 34 + 33, 1.0), (2 * area + 1, 1.0)]);
    let half = open(&folder, &[1, 2, 17, 17])?;
    assert_eq!(set(&half, 1)?, [(0, 1.0), (17 * 17 + 17 + 16, 1.0)]);
    // Row 240 says that later time stamps are 8,192 more.
    let late = nmnist::read(&folder.write("late.bin", &[1, 1, 0, 0, 5, 0, 240, 0, 0, 0, 2, 2, 0, 0, 5])?)?;
    assert_eq!(late.iter().map(|e| e.t).collect::<Vec<_>>(), [5, 8197]);
    folder.write("Train/1/b.bin", &events[..9])?;
    assert!(failure(&data, 1).contains("b.bin has 9 bytes: event 1 is cut"), "{}", failure(&data, 1));
    folder.write("Train/1/b.bin", &[34, 0, 0, 0, 0])?;
    assert!(failure(&data, 1).contains("b.bin (sample 1): an event at column 34"), "{}", failure(&data, 1));
    assert!(message(&folder, &[1, 28, 28]).contains("34×34, 17×17"), "{}", message(&folder, &[1, 28, 28]));
    std::fs::remove_dir_all(folder.file("Test")).map_err(|e| Error::io(folder.path(), "remove", e))?;
    assert!(message(&folder, &[2, 2, 34, 34]).contains("Test is missing"));
    Ok(())
}

#[test]
fn cifar10_dvs_is_turned_upright_and_split() -> Result<(), Error> {
    let folder = Folder::new("dvs")?;
    folders(&folder, &["cat", "dog"])?;
    let event =
        |a: u32, b: u32, off: u32, t: u32| [(b << 8 | a << 1 | off).to_be_bytes(), t.to_be_bytes()].concat();
    let header = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n";
    let file = [&header[..], &event(127, 0, 0, 10), &event(0, 127, 1, 4_000_000_000)].concat();
    for class in ["cat", "dog"] {
        (0..11).try_for_each(|n| {
            folder.write(&format!("{class}/cifar10_{class}_{n}.aedat"), &file).map(|_| ())
        })?;
    }
    let data = open(&folder, &[2, 2, 128, 128])?;
    // Two of eleven: 0 and 1, not 0 and 10.
    assert_eq!(
        (data.train.len(), data.test.len(), data.about.classes.join(" ")),
        (18, 4, "cat dog".to_string())
    );
    let area = 128 * 128;
    // First: column 127 - 0, row 127 - 127, brighter. Then column 0, row 127, darker.
    assert_eq!(set(&data, 0)?, [(area + 127, 1.0), (2 * area + 127 * 128, 1.0)]);
    assert!(data.about.notes[0].contains("first tenth"));
    folder.write("cat/cifar10_cat_2.aedat", &file[..file.len() - 3])?;
    assert!(
        failure(&data, 0).contains("cifar10_cat_2.aedat has") && failure(&data, 0).contains("event 1 is cut")
    );
    folder.write("cat/cifar10_cat_2.aedat", b"#!AER-DAT4.0\r\n")?;
    assert!(failure(&data, 0).contains("does not begin with `#!AER-DAT2.0`"));
    folder.write("cat/cifar10_cat_2.aedat", header)?;
    assert!(failure(&data, 0).contains("event 0 is cut"));
    Ok(())
}

/// An AEDAT 3.1 packet.
fn packet(kind: i16, overflow: i32, events: &[[i32; 2]]) -> Vec<u8> {
    let n = events.len() as i32;
    let words: Vec<i32> =
        [8, 4, overflow, n, n, n].into_iter().chain(events.iter().flatten().copied()).collect();
    let head = [kind.to_le_bytes(), 0i16.to_le_bytes()].concat();
    [head, words.iter().flat_map(|word| word.to_le_bytes()).collect()].concat()
}

#[test]
fn gestures_are_cut_out_by_their_times() -> Result<(), Error> {
    let folder = Folder::new("gesture")?;
    let event = |x: i32, y: i32, on: i32, valid: i32, t: i32| [x << 17 | y << 2 | on << 1 | valid, t];
    let header = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n";
    let packets = [
        packet(1, 0, &[event(5, 6, 1, 1, 100), event(7, 8, 0, 1, 200), event(9, 9, 1, 0, 201)]),
        packet(3, 0, &[[1, 2], [3, 4]]),
        packet(1, 1, &[event(127, 127, 1, 1, 50)]),
    ];
    let file = [&header[..], &packets.concat()].concat();
    folder.write("user01_led.aedat", &file)?;
    let late = (1i64 << 31) + 50;
    let table =
        format!("class,startTime_usec,endTime_usec\n1,100,200\n11,101,{}\n3,{late},{}\n", late, late + 1);
    folder.write("user01_led_labels.csv", table.as_bytes())?;
    folder.write("trials_to_train.txt", b"user01_led.aedat\r\n\r\n")?;
    folder.write("trials_to_test.txt", b"user01_led.aedat\n")?;
    let data = open(&folder, &[1, 2, 128, 128])?;
    assert_eq!((data.train.labels(), data.classes), (&[0, 10, 2][..], 11));
    let area = 128 * 128;
    assert_eq!(set(&data, 0)?, [(area + 6 * 128 + 5, 1.0)]);
    assert_eq!(set(&data, 1)?, [(8 * 128 + 7, 1.0)]);
    assert_eq!(set(&data, 2)?, [(2 * area - 1, 1.0)]);
    let broken = |bytes: &[u8]| -> Result<String, Error> {
        folder.write("user01_led.aedat", bytes)?;
        // What was found in the file is kept, so it is opened anew.
        Ok(failure(&open(&folder, &[1, 2, 128, 128])?, 0))
    };
    let text = broken(&file[..file.len() - 4])?;
    assert!(
        text.contains("user01_led.aedat: packet at byte") && text.contains("promises 1 events"),
        "{text}"
    );
    let text = broken(&[&file[..], &[1, 0, 0]].concat())?;
    assert!(text.contains("ends inside its header"), "{text}");
    let mut wrong = file.clone();
    wrong[header.len() + 20..][..4].copy_from_slice(&9i32.to_le_bytes());
    assert!(broken(&wrong)?.contains("has 9 of 3 events"));
    wrong[header.len() + 4..][..4].copy_from_slice(&(-8i32).to_le_bytes());
    assert!(broken(&wrong)?.contains("promises 3 events of -8 bytes"));
    assert!(broken(b"#!AER-DAT2.0\r\n")?.contains("no AEDAT 3.1 header"));
    folder.write("user01_led_labels.csv", b"class,start,end\n12,0,1\n")?;
    assert!(
        message(&folder, &[1, 2, 128, 128]).contains("user01_led_labels.csv:2: expected class (1 to 11)")
    );
    folder.write("trials_to_test.txt", b"user02_led.aedat\n")?;
    folder.write("user01_led_labels.csv", b"class,start,end\n1,0,1\n")?;
    assert!(message(&folder, &[1, 2, 128, 128]).contains("lists `user02_led.aedat`, which is missing"));
    Ok(())
}

/// A `.npy` array of bytes or of f64.
fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), data].concat()
}

fn npz(arrays: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{name}.npy"), options).expect("an entry");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

fn frames(values: &[f64]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    npz(&[("frames", npy("<f8", "(2, 2, 2, 2)", &bytes))], zip::CompressionMethod::Deflated)
}

#[test]
fn caches_of_frames_are_chosen_by_their_number() -> Result<(), Error> {
    let folder = Folder::new("caches")?;
    for cache in [
        "frames_number_2_split_by_number",
        "frames_number_2_split_by_time",
        "frames_number_4_split_by_number",
    ] {
        for class in ["train/9", "train/10", "test/9", "test/10"] {
            folders(&folder, &[&format!("{cache}/{class}")])?;
            let values: Vec<f64> = (0..16).map(|v| f64::from(v % 3)).collect();
            folder.write(&format!("{cache}/{class}/x.npz"), &frames(&values))?;
        }
    }
    let by = |by| Request { augment: vec![snnc_plan::Augment::Frames(by)], ..request(&[2, 2, 2, 2]) };
    let path = folder.path().display().to_string();
    let data = open_for(&path, &by(snnc_plan::SplitBy::Time))?;
    assert_eq!((data.classes, data.train.len(), data.about.classes.join(" ")), (2, 2, "9 10".to_string()));
    assert_eq!(set(&data, 0)?[..3], [(1, 1.0), (2, 2.0), (4, 1.0)]);
    let text = message(&folder, &[2, 2, 2, 2]);
    assert!(
        text.contains("holds frames 2 by number, 2 by time, 4 by number, 2 frames are asked for"),
        "{text}"
    );
    assert!(message(&folder, &[8, 2, 2, 2]).contains("as many timesteps"));
    let summed = open_for(
        &path,
        &Request { shape: Some(vec![2, 2, 1, 1]), spikes: true, ..by(snnc_plan::SplitBy::Time) },
    )?;
    assert_eq!(set(&summed, 0)?, [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
    // The four frames are two.
    let text = message(&folder, &[4, 2, 2, 2]);
    assert!(text.contains("holds 2 frames a sample, the network has 4"), "{text}");
    let one = "frames_number_2_split_by_time";
    folder.write(&format!("{one}/train/9/x.npz"), &frames(&[-1.0; 16]))?;
    assert!(failure(&data, 0).contains("value 0 of `frames` is -1"), "{}", failure(&data, 0));
    folder.write(&format!("{one}/train/9/x.npz"), &frames(&[1.0; 7]))?;
    assert!(failure(&data, 0).contains("x.npz is not an .npz file"), "{}", failure(&data, 0));
    folder.write(&format!("{one}/train/9/x.npz"), &frames(&[1.0; 16])[..100])?;
    assert!(failure(&data, 0).contains("x.npz is not an .npz file"), "{}", failure(&data, 0));
    folder
        .write(&format!("{one}/train/9/x.npz"), &npz(&[("other", vec![])], zip::CompressionMethod::Stored))?;
    assert!(failure(&data, 0).contains("holds no array `frames`, only other"), "{}", failure(&data, 0));
    Ok(())
}

#[test]
fn caches_of_events_become_frames() -> Result<(), Error> {
    let folder = Folder::new("events-np")?;
    let column = |kind: &str, bytes: &[u8]| npy(kind, "(3,)", bytes);
    let t: Vec<u8> = [5i64, 6, 30].iter().flat_map(|v| v.to_le_bytes()).collect();
    let arrays = |p: Vec<u8>| {
        let columns = [
            ("t", column("<i8", &t)),
            ("x", column("|u1", &[1, 2, 3])),
            ("y", column("|u1", &[0, 0, 127])),
            ("p", p),
        ];
        npz(&columns, zip::CompressionMethod::Stored)
    };
    for class in ["a", "b"] {
        folders(&folder, &[class])?;
        for n in 0..3 {
            folder.write(&format!("{class}/cifar10_{class}_{n}.npz"), &arrays(column("|b1", &[1, 0, 1])))?;
        }
    }
    let data = open(&folder, &[1, 2, 128, 128])?;
    assert_eq!((data.train.len(), data.test.len()), (4, 2));
    let area = 128 * 128;
    assert_eq!(set(&data, 0)?, [(2, 1.0), (area + 1, 1.0), (area + 127 * 128 + 3, 1.0)]);
    folder.write("a/cifar10_a_1.npz", &arrays(npy("|u1", "(2,)", &[1, 1])))?;
    assert!(failure(&data, 0).contains("lengths [3, 3, 3, 2]"), "{}", failure(&data, 0));
    Ok(())
}

#[test]
fn a_file_of_h5py_is_read() -> Result<(), Error> {
    let folder = Folder::new("shd")?;
    // Written by h5py 3.16: four samples of SHD's layout, times in f16, one sample without a spike.
    let file = include_bytes!("fixtures/shd.h5");
    for name in ["shd_train.h5", "shd_test.h5"] {
        folder.write(name, file)?;
    }
    let data = open(&folder, &[2, 700])?;
    assert_eq!((data.train.labels(), data.classes, data.name.as_str()), (&[3, 0, 19, 7][..], 20, "shd"));
    assert_eq!(set(&data, 0)?, [(5, 1.0), (699, 1.0), (700 + 5, 2.0)]);
    assert_eq!(set(&data, 1)?, []);
    assert_eq!(set(&data, 2)?.iter().map(|(_, v)| v).sum::<f32>(), 600.0);
    let summed = open(&folder, &[2, 140])?;
    assert_eq!(set(&summed, 0)?, [(1, 1.0), (139, 1.0), (140 + 1, 2.0)]);
    assert!(message(&folder, &[2, 128]).contains("a divisor of 700"));
    // A heap that is gone, a file that is cut, one that is none.
    let heap = file.windows(4).position(|w| w == b"GCOL").expect("a heap");
    let mut broken = file.to_vec();
    broken[heap] = b'X';
    folder.write("shd_train.h5", &broken)?;
    assert!(failure(&data, 0).contains("shd_train.h5: sequence 0 of `spikes/"), "{}", failure(&data, 0));
    folder.write("shd_train.h5", &file[..file.len() / 2])?;
    let text = message(&folder, &[2, 700]);
    assert!(
        text.is_empty() && failure(&data, 2).contains("shd_train.h5") || text.contains("shd_train.h5"),
        "{text}"
    );
    folder.write("shd_train.h5", b"hello")?;
    assert!(message(&folder, &[2, 700]).contains("shd_train.h5 is not an HDF5 file"));
    std::fs::remove_file(folder.file("shd_train.h5")).map_err(|e| Error::io(folder.path(), "remove", e))?;
    assert!(message(&folder, &[2, 700]).contains("shd_train.h5 is missing"));
    Ok(())
}

/// Changes a few bytes of a file, or cuts it, many times; each time opens the data set and reads its samples.
fn damage(folder: &Folder, name: &str, whole: &[u8], shape: &[usize], times: usize) -> Result<(), Error> {
    let mut rng = crate::rng::Rng::new(2, crate::rng::Purpose::Test, whole.len() as u64);
    for _ in 0..times {
        let mut bytes = whole.to_vec();
        (0..1 + rng.below(4)).for_each(|_| bytes[rng.below(whole.len())] = rng.bits() as u8);
        bytes.truncate(whole.len() - rng.below(2) * rng.below(whole.len()));
        folder.write(name, &bytes)?;
        // Either frames or a message: no panic, no endless reading.
        let Ok(data) = open(folder, shape) else { continue };
        (0..data.train.len())
            .for_each(|index| assert!(set(&data, index).is_ok() || failure(&data, index).contains("help")));
    }
    Ok(())
}

#[test]
fn damaged_recordings_never_panic() -> Result<(), Error> {
    let folder = Folder::new("damaged")?;
    let file = include_bytes!("fixtures/shd.h5");
    folder.write("shd_test.h5", file)?;
    damage(&folder, "shd_train.h5", file, &[2, 700], 300)?;
    let folder = Folder::new("damaged-cache")?;
    folders(&folder, &["train/a", "test/a"])?;
    let frames = frames(&[1.0; 16]);
    folder.write("test/a/x.npz", &frames)?;
    damage(&folder, "train/a/x.npz", &frames, &[2, 2, 2, 2], 200)?;
    let folder = Folder::new("damaged-gesture")?;
    let header = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n";
    let file = [&header[..], &packet(1, 0, &[[3, 1], [5, 2]]), &packet(1, 0, &[[3, 4]])].concat();
    folder.write("u.aedat", &file)?;
    folder.write("u_labels.csv", b"class,start,end\n1,0,9\n")?;
    folder.write("trials_to_train.txt", b"u.aedat\n")?;
    folder.write("trials_to_test.txt", b"u.aedat\n")?;
    damage(&folder, "u.aedat", &file, &[2, 2, 128, 128], 200)
}
