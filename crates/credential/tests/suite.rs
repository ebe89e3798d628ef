//! The credential formats against other implementations of the same standards.

#[cfg(test)]
mod suite {
    mod jose;
    mod openssl;
}
