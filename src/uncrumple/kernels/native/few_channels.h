// Convolutions of images with few channels, such as the first of a network. A part of kernels.cpp, which compiles it
// once per instruction set.
//
// At each place the kernel meets a handful of numbers ("taps": height x width x channels of the kernel), too few for
// a product of matrices to pay. Here a few neighbouring places stay in registers, for one or two vectors of filters,
// while all taps pass by. Images are copied into a frame of zeros first, so that no place needs to ask where the
// image ends.

struct FewShape {
    Size samples, height, width, channels;    // of the images
    Size tall, wide, down, across;            // the kernel, and how far it moves
    Size above, before;                       // zeros around the image, as many below and behind
    Size rows, columns, filters;              // of the result
    Size window_tall, window_wide;            // of pooling; 0: none
    Size frame_line() const { return (width + 2 * before) * channels; }
    Size frame() const { return (height + 2 * above) * frame_line(); }
    Size taps_of_line() const { return wide * channels; }
    Size taps() const { return tall * taps_of_line(); }
    Size padded() const { return (filters + LANES - 1) / LANES * LANES; }
};

// Where numbers lie as floats, if they do.
inline const float* as_floats(const float* numbers) { return numbers; }
inline const float* as_floats(const Half*) { return nullptr; }

// Writes `count` numbers as floats.
template <typename Number>
inline void widened(const Number* from, Size count, float* to) {
    for (Size n = 0; n < count; n += LANES) put(to + n, get(from + n, count - n), count - n);
}

// Puts a sample into the middle of its frame, whose edge is zero already.
template <typename Number>
inline void framed(const FewShape& s, const Number* image, float* frame) {
    Size line = s.width * s.channels;
    for (Size y = 0; y < s.height; y++)
        widened(image + y * line, line, frame + (y + s.above) * s.frame_line() + s.before * s.channels);
}

template <int PLACES, int WIDE, typename Number>
inline void few_places(const FewShape& s, const float* frame, const float* kernel, const float* bias, int relu,
                       Number* out, Size left) {
    V sums[PLACES][WIDE];
    IN_REGISTERS for (int p = 0; p < PLACES; p++)
        IN_REGISTERS for (int v = 0; v < WIDE; v++) sums[p][v] = load(bias + v * LANES);
    Size row = s.padded(), step = s.across * s.channels, taps = s.taps_of_line();
    for (Size y = 0; y < s.tall; y++, frame += s.frame_line())
        for (Size tap = 0; tap < taps; tap++, kernel += row) {
            V weights[WIDE];
            for (int v = 0; v < WIDE; v++) weights[v] = load(kernel + v * LANES);
            for (int p = 0; p < PLACES; p++) {
                V seen = everywhere(frame[p * step + tap]);
                for (int v = 0; v < WIDE; v++) sums[p][v] += seen * weights[v];
            }
        }
    IN_REGISTERS for (int p = 0; p < PLACES; p++)
        IN_REGISTERS for (int v = 0; v < WIDE; v++) {
            V sum = sums[p][v];
            put(out + p * s.filters + v * LANES, relu ? (sum <= 0.0f ? V{} : sum) : sum, left_for<WIDE>(v, left));
        }
}

template <int WIDE, typename Number>
inline void few_line(const FewShape& s, const float* frame, const float* kernel, const float* bias, int relu,
                     Number* out, Size left) {
    enum { PLACES = LANES == 16 ? 8 : 4 };
    Size step = s.across * s.channels, place = 0;
    for (; place + PLACES <= s.columns; place += PLACES)
        few_places<PLACES, WIDE>(s, frame + place * step, kernel, bias, relu, out + place * s.filters, left);
    for (; place + 2 <= s.columns; place += 2)
        few_places<2, WIDE>(s, frame + place * step, kernel, bias, relu, out + place * s.filters, left);
    if (place < s.columns)
        few_places<1, WIDE>(s, frame + place * step, kernel, bias, relu, out + place * s.filters, left);
}

// out (samples, rows, columns, filters) of x (samples, height, width, channels) and kernel (taps, filters). With
// windows, of each the greatest and where it stood: then only the lines of one window are ever written down.
template <typename Number>
int few_channels(int threads, const Size* sizes, AfterWindow after, const Number* x, const Number* kernel,
                 const Number* bias, Number* out, uint8_t* where) {
    FewShape s;
    std::memcpy(&s, sizes, sizeof s);
    Size row = s.padded();
    int failed = 0;
    split(threads, s.samples, s.rows * s.columns * s.taps() * row / LANES, [=, &failed](Size first, Size last) {
        // Floats without an edge, and for whole vectors of filters, are read where they are.
        const float* there = as_floats(s.above || s.before ? nullptr : x);
        const float* weights = as_floats(row == s.filters ? kernel : nullptr);
        static thread_local Scratch scratch;
        Size of_weights = weights ? 0 : s.taps() * row, of_frame = there ? 0 : s.frame();
        Size of_line = s.columns * s.filters, of_lines = s.window_tall * of_line;
        float* memory = scratch.floats(row + of_weights + of_frame + of_lines);
        if (!memory) {
#pragma omp atomic write
            failed = NO_MEMORY;
            return;
        }
        std::memset(memory, 0, size_t(row + of_weights + of_frame) * sizeof(float));
        float *start = memory, *copied = memory + row, *frame = copied + of_weights;
        Number* lines = reinterpret_cast<Number*>(frame + of_frame);
        Size tall = s.window_tall ? s.window_tall : 1, across = s.window_tall ? s.columns / s.window_wide : s.columns;
        Windows windows = {s.window_tall, s.window_wide, across, s.filters, of_line};
        int relu = s.window_tall ? 0 : after.relu;
        for (Size tap = 0; !weights && tap < s.taps(); tap++)
            widened(kernel + tap * s.filters, s.filters, copied + tap * row);
        if (!weights) weights = copied;
        if (bias) widened(bias, s.filters, start);
        for (Size sample = first; sample < last; sample++) {
            Size at = sample * s.height * s.width * s.channels;
            if (!there) framed(s, x + at, frame);
            const float* image = there ? there + at : frame;
            for (Size y = 0; y < s.rows / tall * tall; y++) {
                const float* top = image + y * s.down * s.frame_line();
                Number* line = s.window_tall ? lines + y % tall * of_line : out + (sample * s.rows + y) * of_line;
                for (Size n = 0; n < s.filters; n += 2 * LANES) {
                    Size left = s.filters - n;
                    if (left > LANES)
                        few_line<2>(s, top, weights + n, start + n, relu, line + n, left);
                    else
                        few_line<1>(s, top, weights + n, start + n, relu, line + n, left);
                }
                if (!s.window_tall || y % tall < tall - 1) continue;
                Size target = (sample * (s.rows / tall) + y / tall) * across * s.filters;
                pool_line(windows, after, lines, target, out + target, where ? where + target : nullptr);
            }
        }
    });
    return failed;
}

template <int TAPS, int WIDE>
inline void few_gradients(const FewShape& s, const float* frame, const Size* places, const float* d, float* sums) {
    Size row = s.padded(), step = s.across * s.channels;
    V found[TAPS][WIDE];
    Size places_here[TAPS];
    for (int t = 0; t < TAPS; t++) {
        places_here[t] = places[t];
        for (int v = 0; v < WIDE; v++) found[t][v] = load(sums + t * row + v * LANES);
    }
    for (Size place = 0; place < s.columns; place++, d += row, frame += step) {
        V one[WIDE];
        for (int v = 0; v < WIDE; v++) one[v] = load(d + v * LANES);
        for (int t = 0; t < TAPS; t++) {
            V seen = everywhere(frame[places_here[t]]);
            for (int v = 0; v < WIDE; v++) found[t][v] += seen * one[v];
        }
    }
    for (int t = 0; t < TAPS; t++)
        for (int v = 0; v < WIDE; v++) store(sums + t * row + v * LANES, found[t][v]);
}

template <int WIDE>
inline void few_gradients_of_line(const FewShape& s, const float* frame, const Size* places, const float* d,
                                  float* sums) {
    enum { TAPS = LANES == 16 ? 9 : 4 };
    Size tap = 0, row = s.padded();
    for (; tap + TAPS <= s.taps(); tap += TAPS)
        few_gradients<TAPS, WIDE>(s, frame, places + tap, d, sums + tap * row);
    for (; tap + 3 <= s.taps(); tap += 3) few_gradients<3, WIDE>(s, frame, places + tap, d, sums + tap * row);
    for (; tap < s.taps(); tap++) few_gradients<1, WIDE>(s, frame, places + tap, d, sums + tap * row);
}

// The gradients of kernel and bias: sums (threads, taps + 1, filters) comes as zeros; its last row is that of the bias.
// Where y, the result, is given, d counts only where y is above zero.
template <typename Number>
int few_channels_backward(int threads, const Size* sizes, const Number* x, const Number* y, const Number* d, float* sums) {
    FewShape s;
    std::memcpy(&s, sizes, sizeof s);
    Size row = s.padded(), taps = s.taps();
    int failed = 0;
    split(threads, s.samples, s.rows * s.columns * taps * row / LANES, [=, &failed](Size first, Size last) {
        static thread_local Scratch scratch;
        Size numbers = ((taps + 1 + s.columns) * row + s.frame() + 1) / 2 * 2, wanted = numbers + 2 * taps;
        float* memory = scratch.floats(wanted);
        if (!memory) {
#pragma omp atomic write
            failed = NO_MEMORY;
            return;
        }
        std::memset(memory, 0, size_t(wanted) * sizeof(float));
        float *found = memory, *bias = found + taps * row, *line = bias + row, *frame = line + s.columns * row;
        Size* places = reinterpret_cast<Size*>(memory + numbers);
        for (Size tap = 0; tap < taps; tap++)
            places[tap] = tap / s.taps_of_line() * s.frame_line() + tap % s.taps_of_line();
        for (Size sample = first; sample < last; sample++) {
            framed(s, x + sample * s.height * s.width * s.channels, frame);
            for (Size down = 0; down < s.rows; down++) {
                Size at = (sample * s.rows + down) * s.columns * s.filters;
                for (Size place = 0; place < s.columns; place++, at += s.filters)
                    for (Size n = 0; n < s.filters; n += LANES) {
                        Size left = s.filters - n;
                        V one = get(d + at + n, left);
                        if (y) one = get(y + at + n, left) <= 0.0f ? V{} : one;
                        put(line + place * row + n, one, left);
                        store(bias + n, load(bias + n) + load(line + place * row + n));
                    }
                const float* top = frame + down * s.down * s.frame_line();
                for (Size n = 0; n < s.filters; n += 2 * LANES)
                    if (s.filters - n > LANES)
                        few_gradients_of_line<2>(s, top, places, line + n, found + n);
                    else
                        few_gradients_of_line<1>(s, top, places, line + n, found + n);
            }
        }
        float* mine = sums + this_thread() * (taps + 1) * s.filters;
        for (Size tap = 0; tap <= taps; tap++)
            for (Size n = 0; n < s.filters; n++) mine[tap * s.filters + n] = found[tap * row + n];
    });
    return failed;
}
