// A step of Adam for a table of which a few rows were looked up. A part of kernels.cpp, which compiles it once per
// instruction set.
//
// The gradient of the table is zero but for those rows. Written down it is as large as the table: filled with zeros,
// added to, and read again. Here each row's sum is formed when its turn comes.

// Row n of `from` (count x width) is added to the gradient of the row that places[n] names, in the order of n. The
// numbers are those of adam_some, to the last bit.
template <typename Place>
int adam_rows(int threads, Size rows, Size width, Size count, const Place* places, const float* from,
              const AdamWeight& weight, const AdamSettings& settings) {
    int failed = 0;
    split(threads, rows, width, [=, &weight, &settings, &failed](Size first, Size last) {
        static thread_local Scratch scratch;
        // For each of my rows the first that is added to it, and for each that is added the next one.
        Size mine = last - first, wide = (width + LANES - 1) / LANES * LANES;
        float* memory = scratch.floats(wide + mine + count + LANES);
        if (!memory) {
#pragma omp atomic write
            failed = NO_MEMORY;
            return;
        }
        float* sum = memory;
        int32_t *heads = reinterpret_cast<int32_t*>(memory + wide), *nexts = heads + mine;
        std::memset(heads, 0xff, size_t(mine) * sizeof(int32_t));
        for (Size n = count - 1; n >= 0; n--) {
            Size row = Size(places[n]) - first;
            if (row < 0 || row >= mine) continue;
            nexts[n] = heads[row];
            heads[row] = int32_t(n);
        }
        std::memset(sum, 0, size_t(wide) * sizeof(float));
        TinyIsZero now;
        for (Size row = 0; row < mine; row++) {
            for (int32_t n = heads[row]; n >= 0; n = nexts[n])
                for (Size k = 0; k < width; k += LANES)
                    put(sum + k, get(sum + k, width - k) + get(from + n * width + k, width - k), width - k);
            Size start = (first + row) * width;
            AdamWeight part = {weight.w + start, sum, weight.m + start, weight.v + start};
            adam_numbers(settings, part, 0, width);
            if (heads[row] >= 0) std::memset(sum, 0, size_t(width) * sizeof(float));
        }
    });
    return failed;
}
