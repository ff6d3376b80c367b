//! How much memory the process may still take: the kernel's estimate, and the limit of its control group.

use std::fs::read_to_string;

/// Bytes that can be taken without swapping; `None` where the system does not say.
pub fn available() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| meminfo(&text));
    [machine, control_group()].into_iter().flatten().min()
}

/// Bytes of memory that the process has held at most; `None` where the system does not say.
pub fn resident() -> Option<u64> {
    kilobytes(&read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Bytes of memory that the process holds now; `None` where the system does not say.
pub fn now() -> Option<u64> {
    kilobytes(&read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The line `MemAvailable:   123 kB`.
fn meminfo(text: &str) -> Option<u64> {
    kilobytes(text, "MemAvailable:")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The limit of the process's own group less what the group has taken (version 2 of control groups).
fn control_group() -> Option<u64> {
    let own = read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_matches('/').to_string();
    let folder = std::path::Path::new("/sys/fs/cgroup").join(path);
    let number = |file: &str| read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max")?;
    let reclaimable = read_to_string(folder.join("memory.stat")).ok().map_or(0, |text| inactive_file(&text));
    Some(limit.saturating_sub(number("memory.current")?.saturating_sub(reclaimable)))
}

/// Cached file pages that the kernel gives back on demand.
fn inactive_file(stat: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_the_line_of_available_memory() {
        assert_eq!(super::meminfo("MemTotal: 9 kB\nMemAvailable:   12 kB\n"), Some(12 * 1024));
        assert_eq!(super::meminfo("MemTotal: 9 kB\n"), None);
        assert_eq!(super::inactive_file("anon 1\ninactive_file 77\n"), 77);
    }
}
