//! How much memory a message of the Workload API is given while it is written or read.
//!
//! Its streams say something once and then wait for hours, and each keeps the buffer that it was first given. The
//! ordinary codec gives 8 KiB, of which an X.509-SVID uses a sixth.

use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// What a buffer begins with, in bytes; it grows to what a message needs.
const BUFFER_BYTES: usize = 512;
/// From how many bytes on messages that are ready are sent, in bytes.
const SEND_BYTES: usize = 32 * 1024;

/// The ordinary codec with small buffers.
#[derive(Debug)]
pub struct SmallCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SmallCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Send + 'static, U: Message + Default + Send + 'static> Codec for SmallCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, SEND_BYTES)
}
