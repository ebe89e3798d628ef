//! The credential formats against other implementations of the same standards.

#[cfg(test)]
mod suite {
    mod forge;
    mod forgeries;
    mod jose;
    mod openssl;
    mod strictness;
}
