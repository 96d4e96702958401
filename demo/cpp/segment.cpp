// A class map from the files of `mxnetseg export --to mxnet --with-preprocessing --argmax`, with MXNet's C API alone:
//     segment PREFIX IMAGE.ppm CLASSES.pgm
// The grey values of the result are class indices. Images are binary PPM files of 8 bits: `convert a.jpg a.ppm`.
#include <cstdint>  // before MXNet's header, which leaves it out

#include <mxnet/c_predict_api.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) { std::fprintf(stderr, "%s can't be read\n", path.c_str()); std::exit(1); }
    return {std::istreambuf_iterator<char>(file), {}};
}

static void check(int status) {
    if (status != 0) { std::fprintf(stderr, "%s\n", MXGetLastError()); std::exit(1); }
}

int main(int argc, char** argv) {
    if (argc != 4) { std::fprintf(stderr, "segment PREFIX IMAGE.ppm CLASSES.pgm\n"); return 2; }
    const std::string prefix = argv[1], image = content(argv[2]);
    const std::string graph = content(prefix + "-symbol.json"), weights = content(prefix + "-0000.params");
    unsigned width = 0, height = 0, greatest = 0;
    std::istringstream header(image.compare(0, 2, "P6") == 0 ? image.substr(2) : "");
    std::string comment;
    for (unsigned* number : {&width, &height, &greatest}) {
        while ((header >> std::ws).peek() == '#') std::getline(header, comment);
        header >> *number;
    }
    header.get();  // one blank, then the colours
    if (!header || greatest != 255 || (image.size() - 2 - header.tellg()) / 3 < 1ull * width * height) {
        std::fprintf(stderr, "%s is no binary PPM file of 8 bits\n", argv[2]);
        return 1;
    }
    const size_t pixels = static_cast<size_t>(width) * height;
    const char* name = "data";
    const uint32_t dimensions[] = {0, 4}, shape[] = {1, height, width, 3};
    const int cpu = 1, uint8 = 3;
    PredictorHandle net;
    check(MXPredCreateEx(graph.c_str(), weights.data(), static_cast<int>(weights.size()), cpu, 0, 1, &name, dimensions,
                         shape, 1, &name, &uint8, &net));
    // the API says float, whatever the type is
    const char* colours = image.data() + 2 + header.tellg();
    check(MXPredSetInput(net, name, reinterpret_cast<const float*>(colours), static_cast<uint32_t>(3 * pixels)));
    check(MXPredForward(net));
    std::vector<char> classes(pixels);
    check(MXPredGetOutput(net, 0, reinterpret_cast<float*>(classes.data()), static_cast<uint32_t>(pixels)));
    check(MXPredFree(net));
    std::ofstream out(argv[3], std::ios::binary);
    out << "P5 " << width << ' ' << height << " 255\n";
    out.write(classes.data(), static_cast<std::streamsize>(pixels)).flush();
    if (!out) { std::fprintf(stderr, "%s can't be written\n", argv[3]); return 1; }
    std::_Exit(0);  // at a usual end the threads of MXNet's engine may still use what is being destroyed
}
