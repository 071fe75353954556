//! How heavy a scenario is to be: as in `make test`, where the whole suite takes minutes, or as in `make soak`.

/// Set to anything, this asks for the heavy form of those scenarios that have one.
const SOAK: &str = "POSTERN_LAB_SOAK";

/// The first value in `make test`, the second in `make soak`.
pub fn scaled<T>(test: T, soak: T) -> T {
    if std::env::var_os(SOAK).is_some_and(|value| !value.is_empty()) { soak } else { test }
}
