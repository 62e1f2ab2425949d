// Convolutions in bfloat16 with what follows them, for processors that multiply tiles. A part of kernels.cpp.
//
// An image and its result lie in planes whose lines are equally long, that of the image with its zeros around it. Then
// the number that a tap of the kernel sees lies at the same distance from every place of the result, and a tile of 16
// places one after the other, 32 channels each, is read as it lies. A few places at the end of each line are computed
// for nothing. What comes out of a plane is pooled, or goes on, while it is near.

struct TileShape {
    Size samples, height, width, channels;  // of the images; channels are a multiple of 32
    Size tall, wide;                        // the kernel
    Size above, before;                     // zeros around the image, as many below and behind
    Size filters;                           // a multiple of 32
    Size window_tall, window_wide;          // of pooling; 0: none
    Size line() const { return width + 2 * before; }
    Size lines() const { return height + 2 * above; }
    Size rows() const { return lines() - tall + 1; }
    Size columns() const { return line() - wide + 1; }
    Size taps() const { return tall * wide; }
    Size reach() const { return (tall - 1) * line() + wide - 1; }  // from the first tap to the last
    Size out_rows() const { return window_tall ? rows() / window_tall : rows(); }
    Size out_columns() const { return window_tall ? columns() / window_wide : columns(); }
    Size tap(Size n) const { return n / wide * line() + n % wide; }
    avx512::Windows windows() const {
        return {window_tall, window_wide, out_columns(), filters, line() * filters};
    }
};

enum { BLOCK = 2 * SIDE, TILE = SIDE * DEEP };

inline Size rounded_up(Size count, Size to) { return (count + to - 1) / to * to; }

// Memory for halves, one piece after the other.
struct Pieces {
    Scratch* scratch;
    Size wanted = 0;
    Size of(Size halves) {
        Size at = wanted;
        wanted += rounded_up(halves, BLOCK);
        return at;
    }
    // Zeros, or null.
    Half* made() {
        Half* memory = reinterpret_cast<Half*>(scratch->floats(wanted / 2));
        if (memory) std::memset(static_cast<void*>(memory), 0, size_t(wanted) * sizeof(Half));
        return memory;
    }
};

// Puts an image into the middle of its frame, whose edge is zero already.
inline void framed(const TileShape& s, const Half* image, Half* frame) {
    Size line = s.width * s.channels;
    for (Size y = 0; y < s.height; y++)
        std::memcpy(static_cast<void*>(frame + ((y + s.above) * s.line() + s.before) * s.channels), image + y * line,
                    size_t(line) * sizeof(Half));
}

// The sums of 32 places by 32 columns, over all taps. `from` is what the first tap sees at the first place, `width`
// numbers at each place; `packed` are the tiles of the kernel for these columns; tap n lies steps[n] numbers away.
inline void sums_of_block(const Half* from, Size width, const Size* steps, Size taps, const Half* packed, float* sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    Size stride = width * Size(sizeof(Half));
    for (Size tap = 0; tap < taps; tap++) {
        const Half* seen = from + steps[tap];
        for (Size k = 0; k < width; k += DEEP, packed += 2 * TILE) {
            _tile_loadd(4, seen + k, stride);
            _tile_loadd(6, packed, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, packed + TILE, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, seen + SIDE * width + k, stride);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums, BLOCK * 4);
    _tile_stored(1, sums + SIDE, BLOCK * 4);
    _tile_stored(2, sums + SIDE * BLOCK, BLOCK * 4);
    _tile_stored(3, sums + SIDE * BLOCK + SIDE, BLOCK * 4);
}

// 32 floats rounded.
inline void put_block(Half* to, __m512 low, __m512 high) { _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low)); }

// The tiles of a matrix (inner x columns) that multiplies from the right: for each 32 columns all of `inner`.
inline void pack_right(const Operand& matrix, Size inner, Size columns, Half* to) {
    for (Size column = 0; column < columns; column += BLOCK)
        for (Size k = 0; k < inner; k += DEEP, to += 2 * TILE) lay_out_both(matrix, false, column, columns, k, inner, to);
}

// As avx512::pool_line with relu, 32 numbers at a time: bfloat16 above zero are in the order of whole numbers.
inline void rectified_pool_line(const avx512::Windows& w, const avx512::AfterWindow& after, const Half* top, Size target,
                                Half* out, uint8_t* where) {
    const __m512i zero = _mm512_setzero_si512(), without_sign = _mm512_set1_epi16(0x7fff);
    const __m512i infinite = _mm512_set1_epi16(0x7f80);
    const __m512 factor = _mm512_set1_ps(after.factor);
    for (Size column = 0; column < w.columns; column++)
        for (Size n = 0; n < w.channels; n += DEEP) {
            const Half* line = top + column * w.wide * w.channels + n;
            __m512i best = zero, place = _mm512_set1_epi16(avx512::NOWHERE);
            int16_t k = 0;
            for (Size y = 0; y < w.tall; y++, line += w.line)
                for (Size across = 0; across < w.wide; across++, k++) {
                    __m512i other = _mm512_loadu_si512(line + across * w.channels);
                    // NaN of either sign is greater than all, as in torch.
                    __mmask32 nan = _mm512_cmpgt_epi16_mask(_mm512_and_si512(other, without_sign), infinite);
                    other = _mm512_mask_mov_epi16(other, nan, without_sign);
                    __mmask32 take = _mm512_cmpgt_epi16_mask(other, best);
                    best = _mm512_mask_mov_epi16(best, take, other);
                    place = _mm512_mask_mov_epi16(place, take, _mm512_set1_epi16(k));
                }
            Size at = column * w.channels + n;
            if (after.limit) {
                __m512i least = _mm512_set1_epi32(int32_t(after.limit));
                __mmask32 gone =
                    _mm512_cmplt_epu32_mask((__m512i)avx512::scattered(target + at, after.seed), least) |
                    __mmask32(_mm512_cmplt_epu32_mask((__m512i)avx512::scattered(target + at + SIDE, after.seed), least))
                        << SIDE;
                __m512 low = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(best)), 16);
                __m512 high = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(best, 1)), 16);
                best = _mm512_maskz_mov_epi16(~gone, (__m512i)_mm512_cvtne2ps_pbh(high * factor, low * factor));
                place = _mm512_mask_mov_epi16(place, gone, _mm512_set1_epi16(avx512::NOWHERE));
            }
            _mm512_storeu_si512(out + at, best);
            if (where) _mm256_storeu_si256((__m256i*)(where + at), _mm512_cvtepi16_epi8(place));
        }
}

// As avx512::pool_line_backward, 32 numbers at a time.
inline void pool_line_backward(const avx512::Windows& w, float factor, const Half* dy, const uint8_t* where, Half* top,
                               float* sum) {
    for (Size n = 0; n < w.channels; n += DEEP) {
        V low = load(sum + n), high = load(sum + n + SIDE);
        for (Size column = 0; column < w.columns; column++) {
            Size source = column * w.channels + n;
            Half* line = top + column * w.wide * w.channels + n;
            __m256i place = _mm256_loadu_si256((const __m256i*)(where + source));
            __mmask32 here = _mm256_cmpneq_epi8_mask(place, _mm256_set1_epi8(char(avx512::NOWHERE)));
            V first = get(dy + source, SIDE) * factor, second = get(dy + source + SIDE, SIDE) * factor;
            low += (V)_mm512_maskz_mov_ps(__mmask16(here), (__m512)first);
            high += (V)_mm512_maskz_mov_ps(__mmask16(here >> SIDE), (__m512)second);
            __m512i d = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
            char k = 0;
            for (Size y = 0; y < w.tall; y++, line += w.line)
                for (Size across = 0; across < w.wide; across++, k++)
                    _mm512_storeu_si512(line + across * w.channels,
                                        _mm512_maskz_mov_epi16(_mm256_cmpeq_epi8_mask(place, _mm256_set1_epi8(k)), d));
        }
        store(sum + n, low);
        store(sum + n + SIDE, high);
    }
}

// x (samples, height, width, channels); kernel (tall, wide, channels, filters); out (samples, out_rows, out_columns,
// filters), and, after pooling, where the greatest stood.
int convolution(int threads, const Size* sizes, avx512::AfterWindow after, const Half* x, const Half* kernel,
                const Half* bias, Half* out, uint8_t* where) {
    TileShape s;
    std::memcpy(&s, sizes, sizeof s);
    if (!s.samples) return 0;
    Size taps = s.taps(), inner = taps * s.channels, line = s.line(), columns = s.columns();
    static thread_local Scratch shared;
    float* start = shared.floats(s.filters + inner * s.filters / 2 + 2 * taps);
    if (!start) return NO_MEMORY;
    std::memset(start, 0, size_t(s.filters) * sizeof(float));
    for (Size n = 0; bias && n < s.filters; n += SIDE) put(start + n, get(bias + n, SIDE), SIDE);
    Half* packed = reinterpret_cast<Half*>(start + s.filters);
    Size* steps = reinterpret_cast<Size*>(packed + inner * s.filters);
    for (Size tap = 0; tap < taps; tap++) steps[tap] = s.tap(tap) * s.channels;
    pack_right({kernel, s.filters, false, false}, inner, s.filters, packed);
    int failed = 0;
    if (threads > s.samples) threads = int(s.samples);
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : failed)
    {
        static thread_local Scratch own;
        Pieces pieces = {&own};
        Size places = rounded_up(s.rows() * line, BLOCK);
        Size at_frame = pieces.of((places + s.reach()) * s.channels), at_plane = pieces.of(places * s.filters);
        Half* memory = pieces.made();
        if (memory) {
            Half *frame = memory + at_frame, *plane = memory + at_plane;
            Registers ready;
            alignas(64) float sums[BLOCK * BLOCK];
            Share mine(s.samples, team_size(), this_thread());
            for (Size sample = mine.first; sample < mine.last; sample++) {
                framed(s, x + sample * s.height * s.width * s.channels, frame);
                for (Size place = 0; place < places; place += BLOCK)
                    for (Size n = 0; n < s.filters; n += BLOCK) {
                        sums_of_block(frame + place * s.channels, s.channels, steps, taps, packed + n * inner, sums);
                        __m512 low = _mm512_load_ps(start + n), high = _mm512_load_ps(start + n + SIDE);
                        Half* to = plane + place * s.filters + n;
                        for (int row = 0; row < BLOCK; row++)
                            put_block(to + row * s.filters, _mm512_load_ps(sums + row * BLOCK) + low,
                                      _mm512_load_ps(sums + row * BLOCK + SIDE) + high);
                    }
                Size width = s.out_columns() * s.filters;
                for (Size row = 0; row < s.out_rows(); row++) {
                    Size target = (sample * s.out_rows() + row) * width;
                    if (s.window_tall && after.relu)
                        rectified_pool_line(s.windows(), after, plane + row * s.window_tall * line * s.filters, target,
                                            out + target, where ? where + target : nullptr);
                    else if (s.window_tall)
                        avx512::pool_line(s.windows(), after, plane + row * s.window_tall * line * s.filters, target,
                                          out + target, where ? where + target : nullptr);
                    else
                        avx512::rectified(plane + row * line * s.filters, columns * s.filters, after.relu, out + target);
                }
            }
        }
        failed = !memory;
    }
    return failed ? NO_MEMORY : 0;
}

// d_kernel (taps x channels x filters) gets the products of what each tap saw with the gradients, over some images.
// `turned` has a line of `stride` places for each channel, and one image behind the other; `packed` their gradients as
// tiles, `deep` times 32 places for each image.
inline void kernel_gradient(const TileShape& s, Size images, const Half* turned, Size stride, const Half* packed, Size deep,
                     float* d_kernel) {
    Size wide = s.filters / SIDE, stored = s.filters * 4;
    for (Size tap = 0; tap < s.taps(); tap++)
        for (Size c = 0; c < s.channels; c += BLOCK)
            for (Size n = 0; n < wide; n += 2) {
                float* sums = d_kernel + (tap * s.channels + c) * s.filters + n * SIDE;
                float *lower = sums + SIDE * s.filters;
                _tile_loadd(0, sums, stored);
                _tile_loadd(1, sums + SIDE, stored);
                _tile_loadd(2, lower, stored);
                _tile_loadd(3, lower + SIDE, stored);
                for (Size image = 0; image < images; image++) {
                    const Half* upper = turned + (image * s.channels + c) * stride + s.tap(tap);
                    const Half* right = packed + (image * deep * wide + n) * TILE;
                    for (Size k = 0; k < deep; k++, upper += DEEP, right += wide * TILE) {
                        _tile_loadd(4, upper, stride * 2);
                        _tile_loadd(6, right, 64);
                        _tile_dpbf16ps(0, 4, 6);
                        _tile_loadd(7, right + TILE, 64);
                        _tile_dpbf16ps(1, 4, 7);
                        _tile_loadd(5, upper + SIDE * stride, stride * 2);
                        _tile_dpbf16ps(2, 5, 6);
                        _tile_dpbf16ps(3, 5, 7);
                    }
                }
                _tile_stored(0, sums, stored);
                _tile_stored(1, sums + SIDE, stored);
                _tile_stored(2, lower, stored);
                _tile_stored(3, lower + SIDE, stored);
            }
}

// The gradients of the images (d_x, or null), of the kernel, and of the bias (or null). kept: with pooling, where the
// greatest stood; otherwise the result, if it went through relu, or null.
int convolution_backward(int threads, const Size* sizes, float scale, const Half* x, const Half* kernel,
                         const void* kept, const Half* d_out, Half* d_x, Half* d_kernel, Half* d_bias) {
    enum { TOGETHER = 4 };  // images whose kernel gradients are summed in one go
    TileShape s;
    std::memcpy(&s, sizes, sizeof s);
    if (!s.samples) return 0;
    Size taps = s.taps(), inner = taps * s.filters, line = s.line(), reach = s.reach(), wide = s.filters / SIDE;
    Size places = rounded_up(s.rows() * line, DEEP), deep = places / DEEP;
    Size first_place = s.above * line + s.before, last_place = (s.above + s.height - 1) * line + s.before + s.width;
    Size seen = rounded_up(last_place - first_place, BLOCK), stride = rounded_up(places + reach, BLOCK) + BLOCK;
    if (threads > s.samples) threads = int(s.samples);
    static thread_local Scratch shared;
    Size numbers = taps * s.channels * s.filters, of_thread = numbers + s.filters;  // of the kernel, and with the bias
    float* sums = shared.floats(threads * of_thread + numbers / 2 + 2 * taps);
    if (!sums) return NO_MEMORY;
    std::memset(sums, 0, size_t(threads * of_thread) * sizeof(float));
    Half* packed = reinterpret_cast<Half*>(sums + threads * of_thread);
    Size* steps = reinterpret_cast<Size*>(packed + numbers);
    for (Size tap = 0; tap < taps; tap++) steps[tap] = -s.tap(tap) * s.filters;
    if (d_x) {
        Half* to = packed;
        for (Size c = 0; c < s.channels; c += BLOCK)
            for (Size tap = 0; tap < taps; tap++)
                for (Size k = 0; k < s.filters; k += DEEP, to += 2 * TILE)
                    lay_out_both({kernel + tap * s.channels * s.filters, s.filters, true, false}, false, c, s.channels, k,
                                 s.filters, to);
    }
    int failed = 0;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : failed)
    {
        static thread_local Scratch own;
        Pieces pieces = {&own};
        Size image_size = s.channels * stride, tiles_size = deep * wide * TILE;
        Size at_frame = pieces.of(stride * s.channels), at_turned = pieces.of(TOGETHER * image_size);
        Size at_tiles = pieces.of(TOGETHER * tiles_size);
        Size at_plane = pieces.of((reach + rounded_up(places, BLOCK) + seen + first_place) * s.filters);
        Half* memory = pieces.made();
        if (memory) {
            Half *frame = memory + at_frame, *plane = memory + at_plane + reach * s.filters;
            float *mine_of_kernel = sums + this_thread() * of_thread, *mine_of_bias = mine_of_kernel + numbers;
            Registers ready;
            alignas(64) float block[BLOCK * BLOCK];
            Share mine(s.samples, team_size(), this_thread());
            for (Size sample = mine.first, together = 0; sample < mine.last; sample++) {
                Size width = s.out_columns() * s.filters;
                for (Size row = 0; row < s.out_rows(); row++) {
                    Size source = (sample * s.out_rows() + row) * width;
                    if (s.window_tall)
                        pool_line_backward(s.windows(), scale, d_out + source, static_cast<const uint8_t*>(kept) + source,
                                           plane + row * s.window_tall * line * s.filters, mine_of_bias);
                    else
                        avx512::rectified_backward(kept ? static_cast<const Half*>(kept) + source : nullptr,
                                                   d_out + source, s.columns(), s.filters,
                                                   plane + row * line * s.filters, mine_of_bias);
                }
                Half *turned = memory + at_turned + together * image_size, *tiles = memory + at_tiles + together * tiles_size;
                framed(s, x + sample * s.height * s.width * s.channels, frame);
                for (Size place = 0; place < places + reach; place += DEEP)
                    for (Size c = 0; c < s.channels; c += SIDE) {
                        Words words;
                        read_across(frame + place * s.channels + c, s.channels, DEEP, SIDE, words);
                        turn(words);
                        for (int n = 0; n < SIDE; n++) _mm512_storeu_si512(turned + (c + n) * stride + place, words[n]);
                    }
                for (Size k = 0; k < deep; k++)
                    for (Size n = 0; n < wide; n++, tiles += TILE) {
                        Words words;
                        read_across(plane + k * DEEP * s.filters + n * SIDE, s.filters, DEEP, SIDE, words);
                        for (int row = 0; row < SIDE; row++) _mm512_store_si512(tiles + row * DEEP, words[row]);
                    }
                if (++together == TOGETHER || sample == mine.last - 1) {
                    kernel_gradient(s, together, memory + at_turned, stride, memory + at_tiles, deep, mine_of_kernel);
                    together = 0;
                }
                if (!d_x) continue;
                Half* to = d_x + sample * s.height * s.width * s.channels;
                for (Size c = 0; c < s.channels; c += BLOCK) {
                    Size y = 0, column = 0;
                    for (Size place = 0; place < seen; place += BLOCK) {
                        sums_of_block(plane + (first_place + place) * s.filters, s.filters, steps, taps, packed + c * inner,
                                      block);
                        for (int n = 0; n < BLOCK && y < s.height; n++) {
                            if (column < s.width)
                                put_block(to + (y * s.width + column) * s.channels + c, _mm512_load_ps(block + n * BLOCK),
                                          _mm512_load_ps(block + n * BLOCK + SIDE));
                            if (++column == line) column = 0, y++;
                        }
                    }
                }
            }
        }
        failed = !memory;
    }
    for (Size n = 0; n < of_thread; n += SIDE) {
        if (n >= numbers && !d_bias) break;
        V sum = load(sums + n);
        for (Size thread = 1; thread < threads; thread++) sum += load(sums + thread * of_thread + n);
        put(n < numbers ? d_kernel + n : d_bias + n - numbers, sum, SIDE);
    }
    return failed ? NO_MEMORY : 0;
}
