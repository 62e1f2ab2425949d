// The gradient of a kernel that sees few numbers of a grey image, in bfloat16, with tiles. A part of kernels.cpp.
//
// The rows of the left matrix are the taps, its columns neighbouring places; the right matrix are the gradients of the
// result. A last row of ones sums those up, which is the gradient of the bias.

inline bool tiles_take(const avx512::FewShape& s) {
    return s.channels == 1 && s.across == 1 && s.filters % BLOCK == 0 && s.taps() < BLOCK;
}

// 32 numbers of d where y is not below or at zero; all of them without y.
inline __m512i let_through(const Half* y, const Half* d) {
    __m512i one = _mm512_loadu_si512(d);
    if (!y) return one;
    __m512i kept = _mm512_loadu_si512(y);
    __mmask32 nan = _mm512_cmpgt_epi16_mask(_mm512_and_si512(kept, _mm512_set1_epi16(0x7fff)), _mm512_set1_epi16(0x7f80));
    return _mm512_maskz_mov_epi16(_mm512_cmpgt_epi16_mask(kept, _mm512_setzero_si512()) | nan, one);
}

// Two tiles of 32 filters: the gradients at up to 32 places, those of two neighbours side by side.
inline void gradients_as_tiles(const Half* y, const Half* d, Size places, Size filters, Half* to) {
    alignas(64) static const uint16_t zipped[2][32] = {
        {0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47},
        {16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55,
         24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63}};
    const __m512i first = _mm512_load_si512(zipped[0]), second = _mm512_load_si512(zipped[1]);
    for (Size n = 0; n < SIDE; n++, to += DEEP) {
        Size place = 2 * n;
        __m512i upper = _mm512_setzero_si512(), lower = upper;
        if (place < places) upper = let_through(y ? y + place * filters : y, d + place * filters);
        if (place + 1 < places) lower = let_through(y ? y + (place + 1) * filters : y, d + (place + 1) * filters);
        _mm512_store_si512(to, _mm512_permutex2var_epi16(upper, first, lower));
        _mm512_store_si512(to + TILE, _mm512_permutex2var_epi16(upper, second, lower));
    }
}

// As avx512::few_channels_backward.
int few_channels_backward(int threads, const avx512::FewShape& s, const Half* x, const Half* y, const Half* d,
                          float* sums) {
    if (!s.samples) return 0;
    int failed = 0;
    Size taps = s.taps(), blocks = (s.columns + DEEP - 1) / DEEP, line = s.frame_line(), stored = s.filters * 4;
    bool tall = taps + 1 > SIDE;
    if (threads > s.samples) threads = int(s.samples);
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : failed)
    {
        static thread_local Scratch own;
        Pieces pieces = {&own};
        Size at_frame = pieces.of(s.frame() + BLOCK), at_seen = pieces.of(s.rows * blocks * 2 * TILE);
        Size at_right = pieces.of(2 * TILE), at_found = pieces.of(2 * BLOCK * s.filters);
        Half* memory = pieces.made();
        if (memory) {
            Half *frame = memory + at_frame, *seen = memory + at_seen, *right = memory + at_right;
            float* found = reinterpret_cast<float*>(memory + at_found);
            for (Size tile = 0; tile < s.rows * blocks; tile++)
                _mm512_store_si512(seen + tile * 2 * TILE + taps * DEEP, _mm512_set1_epi16(0x3f80));
            Registers ready;
            Share mine(s.samples, team_size(), this_thread());
            for (Size sample = mine.first; sample < mine.last; sample++) {
                for (Size row = 0; row < s.height; row++)
                    std::memcpy(static_cast<void*>(frame + (row + s.above) * line + s.before),
                                x + (sample * s.height + row) * s.width, size_t(s.width) * sizeof(Half));
                Half* tile = seen;
                for (Size row = 0; row < s.rows; row++)
                    for (Size column = 0; column < s.columns; column += DEEP, tile += 2 * TILE)
                        for (Size tap = 0; tap < taps; tap++)
                            _mm512_store_si512(tile + tap * DEEP,
                                               _mm512_loadu_si512(frame + (row * s.down + tap / s.wide) * line +
                                                                  tap % s.wide + column));
                for (Size n = 0; n < s.filters; n += BLOCK) {
                    float *upper = found + n, *lower = upper + SIDE * s.filters;
                    _tile_loadd(0, upper, stored);
                    _tile_loadd(1, upper + SIDE, stored);
                    _tile_loadd(2, lower, stored);
                    _tile_loadd(3, lower + SIDE, stored);
                    tile = seen;
                    Size at = sample * s.rows * s.columns * s.filters + n;
                    for (Size row = 0; row < s.rows; row++)
                        for (Size column = 0; column < s.columns; column += DEEP, tile += 2 * TILE) {
                            Size here = at + (row * s.columns + column) * s.filters;
                            gradients_as_tiles(y ? y + here : y, d + here, s.columns - column, s.filters, right);
                            _tile_loadd(4, tile, 64);
                            _tile_loadd(6, right, 64);
                            _tile_dpbf16ps(0, 4, 6);
                            _tile_loadd(7, right + TILE, 64);
                            _tile_dpbf16ps(1, 4, 7);
                            if (!tall) continue;
                            _tile_loadd(5, tile + TILE, 64);
                            _tile_dpbf16ps(2, 5, 6);
                            _tile_dpbf16ps(3, 5, 7);
                        }
                    _tile_stored(0, upper, stored);
                    _tile_stored(1, upper + SIDE, stored);
                    _tile_stored(2, lower, stored);
                    _tile_stored(3, lower + SIDE, stored);
                }
            }
            std::memcpy(sums + this_thread() * (taps + 1) * s.filters, found, size_t((taps + 1) * stored));
        }
        failed = !memory;
    }
    return failed ? NO_MEMORY : 0;
}
