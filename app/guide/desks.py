"""Short help per role, taken from what the program does. Texts are msgids; a path leads to a page only while it exists and is the reader's."""

from __future__ import annotations

from collections.abc import Mapping

from app.guide.rules import Desk, Step, Trouble
from app.kernel.errors import N_
from app.kernel.fields import Role

_WHY = Step(N_("Tanyakan \u201cMengapa?\u201d"), N_("Setiap elemen menyebut sejauh mana ia terbuka. \u201cMengapa?\u201d di sampingnya menyebut aturannya, dasar hukumnya, dan cara meminta lebih."))  # fmt: skip
_OWN = Step(N_("Simpan tanda terimanya"), N_("Nomor di atas halaman ialah entri jejak audit yang mencatat pembukaan itu. Semua nomor Anda ada di Aktivitas saya; buktinya dapat diunduh dan diperiksa siapa pun."), "/me/activity")  # fmt: skip
_SHOWN = (
    N_("Setiap halaman pemilih dan setiap daftar yang Anda buka: pemilih mana, elemen mana, sejauh mana, dan untuk tugas apa."),
    N_("Setiap penolakan, juga bila tidak ada yang ditampilkan."),
)
_STEPS_OF_REQUESTS = N_(
    "Setiap langkah permintaan dan izin. Alasan dan nomor surat tersegel di dalam entri; kedua pihak melihat langkah yang sama."
)
_NOT_FOUND = Trouble(N_("Pemilih yang Anda cari \u201ctidak ditemukan\u201d"), N_("Periksa ejaan, desa, TPS, dan tahapan. Jawabannya sama untuk pemilih yang tidak ada, yang di luar wilayah Anda, dan yang tidak boleh Anda buka."))  # fmt: skip
_NO_DOWNLOAD = N_("Mengunduh daftar pemilih. Tidak ada tombolnya, bagi siapa pun.")
_NEVER_VOTERS = N_("Data pemilih, juga bila Anda memegang peran kedua.")

# What the log keeps of everybody.
RECORDED = (
    N_("Setiap masuk, keluar, verifikasi ulang, dan penggantian kata sandi, juga yang gagal."),
    N_("Peran dan kantor Anda, waktunya, dan alamat jaringan komputer Anda; yang terakhir tersegel."),
    N_("Tidak tercatat: kata sandi, kode, dan NIK atau nama yang Anda ketik saat mencari."),
)
# What can look wrong at any desk.
TROUBLES = (
    Trouble(N_("Kode verifikasi ditolak"), N_("Nyalakan tanggal dan waktu otomatis di ponsel, tunggu kode berganti, lalu ketik yang baru. Satu kode hanya berlaku sekali.")),
    Trouble(N_("Ponsel hilang atau berganti"), N_("Hari itu juga minta admin sistem mengatur ulang autentikator Anda. Orang kedua mengonfirmasinya, lalu Anda memasang yang baru.")),
    Trouble(N_("Di Aktivitas saya ada baris yang bukan perbuatan Anda"), N_("Ganti kata sandi sekarang, lalu hubungi petugas keamanan dan sebutkan nomor entrinya. Jangan menunggu besok.")),
    Trouble(N_("Halaman menyebut segel rusak"), N_("Simpanan tidak cocok dengan segelnya. Jangan mencoba lagi; catat nomor permintaan di halaman itu dan hubungi petugas keamanan.")),
    Trouble(N_("Halaman menunggu tanda tangan saksi"), N_("Data provinsi lain baru terbuka bila saksi di luar KPU menandatangani jejak audit dalam 15 menit terakhir. Tunggu sebentar; keadaan saksi tampil di Jejak audit publik, di kaki halaman.")),
    Trouble(N_("Layanan berhenti sementara"), N_("Jejak audit sedang tidak dapat ditulis, maka tidak ada yang dibuka. Tunggu setengah menit dan muat ulang; bila berulang, hubungi admin sistem.")),
)  # fmt: skip
# Whom to call, and what for.
CALLS: tuple[tuple[Role, str], ...] = (
    (Role.ADMIN_SISTEM, N_("Akun, peran, ponsel hilang, halaman yang tidak mau terbuka.")),
    (Role.PETUGAS_KEAMANAN, N_("Segel rusak, baris asing di Aktivitas saya, dugaan kebocoran.")),
    (Role.PEJABAT_PDP, N_("Orang yang bertanya tentang datanya sendiri.")),
)

_OPERATOR = Desk(
    N_("Meja ini memutakhirkan daftar pemilih satu kab/kota: memuat DP4, mencari pemilih, memeriksa elemennya, dan memperbaiki yang salah."),
    (
        Step(N_("Muat DP4"), N_("Kirim berkas CSV kab/kota Anda, cocokkan kolomnya, lalu tunggu hasilnya. Baris yang dikarantina belum masuk daftar: unduh laporannya, perbaiki di sumber, lalu muat baris itu saja."), "/intake", begin=True),
        Step(N_("Cari pemilih"), N_("Dengan NIK, dengan nama dan tanggal lahir, atau lewat desa dan TPS."), "/voters", begin=True),
        _WHY,
        Step(N_("Perbarui kode bila perlu"), N_("Sesudah 15 menit NIK dan NKK kembali disamarkan. Tombol di halaman pemilih meminta kode baru, lalu keduanya terbuka lagi.")),
        Step(N_("Perbaiki satu elemen"), N_("Di halaman pemilih, pilih Perbaiki di elemen yang salah; sebutkan dasar dan alasannya. Riwayat di bawah halaman itu menyimpan setiap perbaikan."), begin=True),
        Step(N_("Batalkan muatan yang keliru"), N_("Selama belum ada barisnya yang dipakai, satu muatan dapat dibatalkan seluruhnya dengan alasan. Sesudah itu, perbaiki pemilih satu per satu."), "/intake"),
        Step(N_("Ajukan izin bila belum cukup"), N_("Disabilitas tidak terbuka utuh tanpa izin tertulis. Sebutkan wilayah, elemen, batas waktu, dan alasan; dua penyetuju memutusnya."), "/requests/new"),
    ),
    (
        N_("Pemilih di luar kab/kota Anda."),
        N_("Pemilih mana pun pada tahapan DPT: daftarnya sudah tetap."),
        _NO_DOWNLOAD,
    ),
    (*_SHOWN, N_("Setiap perbaikan: elemennya, dasar dan alasannya, serta sidik nilai lama dan baru."), N_("Setiap berkas yang dimuat dan setiap pembatalan."), _STEPS_OF_REQUESTS),
    (
        _NOT_FOUND,
        Trouble(N_("Berkas yang salah terlanjur dimuat"), N_("Buka hasilnya di Pemuatan DP4 dan pilih Batalkan pemuatan. Bila barisnya sudah dipakai, beri tahu admin sistem dan petugas keamanan nomor muatannya.")),
        Trouble(N_("Perbaikan ditolak karena data sudah berubah"), N_("Orang lain lebih dulu memperbaikinya. Buka lagi halaman pemilih, baca nilai terbaru, dan ulangi bila masih perlu.")),
    ),
)  # fmt: skip
_COUNTER = Desk(
    N_("Meja ini untuk rekapitulasi: melihat susunan daftar pemilih wilayah Anda tanpa mengenali orangnya."),
    (
        Step(N_("Pilih kab/kota, lalu desa dan TPS"), N_("Daftar satu TPS terbuka sejauh peran Anda: usia menggantikan tanggal lahir; identitas disamarkan di provinsi, dan hanya tercatat di pusat."), "/voters", begin=True),
        Step(N_("Buka satu pemilih bila perlu"), N_("Ke-13 elemennya tampil dengan tanda sejauh mana masing-masing terbuka.")),
        _WHY,
        _OWN,
        Step(N_("Teruskan pertanyaan tentang orang tertentu"), N_("Hanya operator KPU kab/kota yang dapat mencari dan memperbaiki seseorang. Sebutkan nomor pemilih, bukan NIK.")),
    ),
    (N_("Mencari dengan NIK atau nama, dan memperbaiki data."), N_("NIK, nama, dan alamat utuh; peran ini juga tidak dapat meminta izin."), _NO_DOWNLOAD),
    _SHOWN,
    (_NOT_FOUND,),
)  # fmt: skip
_USE = Step(N_("Pakai izin yang berlaku"), N_("Pemilih di wilayah izin terbuka sejauh izin itu, hanya untuk tujuan dan tahapannya. Halaman pemilih menyebut izin yang dipakai."), "/requests", begin=True)  # fmt: skip
_GIVE_BACK = Step(N_("Kembalikan izin bila pekerjaan selesai"), N_("Buka permintaannya dan pilih Kembalikan izin, juga bila tanggalnya belum habis."), "/requests")  # fmt: skip
_FOLLOW = Step(N_("Ikuti permintaan Anda"), N_("Halamannya menunjukkan setiap langkah dengan nomor entrinya. Yang sudah terkirim tidak dapat diubah; bila keliru, tarik dan ajukan yang baru."), "/requests")  # fmt: skip
_LIAISON_RECORDED = (*_SHOWN, _STEPS_OF_REQUESTS, N_("Nomor izin di setiap pembukaan yang memakainya."))
_LIAISON_TROUBLES = (
    _NOT_FOUND,
    Trouble(N_("Permintaan tidak dapat dikirim karena belum ada penyetuju"), N_("Wilayah itu belum punya dua penyetuju dari dua unit. Hubungi admin sistem KPU setempat; isian Anda tetap ada di halaman.")),
    Trouble(N_("Permintaan tidak disetujui"), N_("Baca alasannya di halaman permintaan. Persempit wilayah, elemen, atau waktunya, lalu ajukan yang baru.")),
)  # fmt: skip
_LIAISON = Desk(
    N_("Meja ini untuk pengawasan: melihat daftar pemilih wilayah Anda sejauh kebijakan membukanya, dan meminta izin tertulis bila itu belum cukup."),
    (
        Step(N_("Lihat dulu yang sudah terbuka"), N_("Pilih desa dan TPS. Nama, jenis kelamin, dan alamat sampai jalan terbuka utuh; NIK dan NKK disamarkan; usia menggantikan tanggal lahir."), "/voters", begin=True),
        _WHY,
        Step(N_("Ajukan izin"), N_("Sebutkan dasar hukum dan nomor surat tugas, wilayah sesempit mungkin, elemen, hari terakhir (paling lama 90 hari), dan alasan. Jangan menulis NIK atau nama pemilih di alasan."), "/requests/new", begin=True),
        _FOLLOW,
        _USE,
        Step(N_("Cari dengan NIK selama izin membukanya"), N_("Kotak pencarian NIK muncul bila izin Anda membuka NIK utuh; kodenya tidak boleh lewat 15 menit, dan pencarian hanya menemukan di wilayah izin."), "/voters"),
        _GIVE_BACK,
    ),
    (N_("Pemilih di luar wilayah kantor Anda, dan daftar sebelum tahapan DPS."), N_("Mengubah data. Sampaikan saran perbaikan kepada KPU kab/kota dengan nomor pemilihnya."), _NO_DOWNLOAD),
    _LIAISON_RECORDED,
    _LIAISON_TROUBLES,
)  # fmt: skip
_LIAISON_ABOVE = Desk(
    N_("Meja ini untuk pengawasan dari provinsi atau pusat: melihat daftar pemilih dengan identitas disamarkan, dan meminta izin tertulis bila itu belum cukup."),
    (
        Step(N_("Pilih kab/kota, lalu desa dan TPS"), N_("Dari nama tampil inisialnya, usia menggantikan tanggal lahir, elemen lain hanya tercatat. Untuk memeriksa orang di lapangan, minta Bawaslu kab/kota."), "/voters", begin=True),
        _WHY,
        Step(N_("Ajukan izin"), N_("Izin membuka NIK dan NKK tersamar, cukup untuk membandingkan dua baris. Sebutkan dasar hukum, nomor surat tugas, wilayah sesempit mungkin, hari terakhir, dan alasan."), "/requests/new", begin=True),
        _FOLLOW,
        _USE,
        _GIVE_BACK,
    ),
    (N_("NIK, NKK, nama, dan alamat utuh, juga dengan izin."), N_("Daftar sebelum tahapan DPS."), N_("Mencari dengan NIK, dan mengubah data."), _NO_DOWNLOAD),
    _LIAISON_RECORDED,
    _LIAISON_TROUBLES,
)  # fmt: skip
_APPROVER = Desk(
    N_("Meja ini memutus permintaan izin. Tidak ada izin tanpa dua orang dari dua unit, dan keputusan hanya boleh mempersempit."),
    (
        Step(N_("Buka antrean"), N_("Yang menunggu Anda berdiri paling atas, yang terlama lebih dulu."), "/requests", begin=True),
        Step(N_("Baca dasarnya"), N_("Siapa memintanya, dasar hukum dan nomor surat tugas, wilayah, elemen, hari terakhir, dan alasan. Tabelnya menyandingkan yang diminta, batas kebijakan, dan yang disetujui."), begin=True),
        Step(N_("Persempit bila dapat"), N_("Wilayah lebih kecil, elemen lebih sedikit, tampilan lebih rendah, atau hari lebih awal. NIK utuh selalu ikut membuka tanggal lahir dan jenis kelamin.")),
        Step(N_("Setujui"), N_("Persetujuan pertama belum membuka apa pun. Yang kedua, oleh orang lain dari unit lain, memulai izin pada saat itu juga."), begin=True),
        Step(N_("Tolak dengan alasan"), N_("Sebutkan apa yang kurang dan apa yang dapat diminta sebagai gantinya. Pemohon membacanya.")),
        Step(N_("Cabut izin yang tidak perlu lagi"), N_("Buka izin yang berlaku, tulis alasannya. Pembukaan berikutnya sudah tanpa izin itu."), "/requests"),
    ),
    (_NEVER_VOTERS, N_("Permintaan Anda sendiri, dan permintaan yang persetujuan pertamanya dari Anda atau dari unit Anda."), N_("Memperluas permintaan.")),
    (N_("Setiap keputusan: menyetujui, mempersempit, menolak, mencabut, dengan alasannya yang tersegel."), N_("Setiap keputusan yang ditolak aturan, misalnya menyetujui dua kali.")),
    (
        Trouble(N_("Anda terlanjur menyetujui terlalu luas"), N_("Bila izinnya sudah berlaku, cabut sekarang dan tulis alasannya. Bila belum, beri tahu penyetuju kedua: ia dapat mempersempit atau menolak.")),
        Trouble(N_("Surat tugas atau alasannya meragukan"), N_("Jangan menyetujui. Periksa suratnya kepada pengirimnya, atau tolak dan minta permintaan baru.")),
        Trouble(N_("Halaman menyebut permintaan sudah berubah"), N_("Penyetuju lain lebih dulu memutus atau pemohon menariknya. Baca keadaan terbaru di halaman itu.")),
    ),
)  # fmt: skip
_SECURITY = Desk(
    N_("Meja ini menjaga jejak audit: siapa membuka apa, untuk apa, dan apakah catatannya utuh. Isi data pemilih tidak terbuka di sini."),
    (
        Step(N_("Baca jejak audit"), N_("Saring menurut orang, tindakan, hasil, atau waktu. Hasil \u201csegel rusak\u201d dilihat saat itu juga."), "/audit", begin=True),
        Step(N_("Periksa keutuhannya"), N_("Pemeriksaan seluruh jejak menghitung ulang rantai, pohon, dan tanda tangan. Lakukan sedikitnya seminggu sekali, dan sesudah setiap gangguan."), "/audit/verify", begin=True),
        Step(N_("Jaga daftar saksi"), N_("Saksi di luar KPU menandatangani jejak audit. Daftarnya diubah oleh dua orang; saksi yang basi lebih dari satu jam, hubungi penjaganya."), "/witnesses"),
        Step(N_("Awasi izin yang berlaku"), N_("Anda melihat setiap permintaan dan izin di wilayah kantor Anda, dan dapat mencabut izin. Memutus permintaan bukan tugas Anda."), "/requests", begin=True),
        Step(N_("Konfirmasi atur ulang autentikator"), N_("Hubungi pemilik akun lewat jalur lain sebelum mengonfirmasi. Permintaan yang tidak dijawab lewat sesudah 24 jam."), "/admin/confirmations"),
        Step(N_("Lihat akun"), N_("Siapa memegang peran apa di kantor mana, dan kapan terakhir masuk."), "/admin/accounts"),
        Step(N_("Tanggapi yang janggal"), N_("Catat nomor entri, minta admin sistem menonaktifkan akun bila perlu, cabut izinnya, dan mulai tanggap insiden. Kebocoran data wajib diberitahukan dalam 3×24 jam (UU 27/2022 Pasal 46).")),
    ),
    (_NEVER_VOTERS, N_("Memutus permintaan izin, dan mengubah akun.")),
    (N_("Setiap kali Anda membaca, memeriksa, atau mengekspor jejak audit."), N_("Setiap izin yang Anda cabut dan setiap konfirmasi, dengan alasannya.")),
    (
        Trouble(N_("Pemeriksaan menemukan yang tidak cocok"), N_("Jangan mengubah apa pun di basis data. Simpan laporannya dan titik periksa terakhir, hentikan layanan bersama admin sistem, lalu panggil tim tanggap insiden.")),
        Trouble(N_("Banyak penolakan dari satu akun"), N_("Hubungi orangnya dan atasannya. Bila tidak dapat menjelaskan, minta admin sistem mengakhiri sesinya.")),
    ),
)  # fmt: skip
_OFFICER = Desk(
    N_("Meja ini menjawab orang yang bertanya tentang datanya sendiri: siapa yang melihatnya, dan apa isinya."),
    (
        Step(N_("Terima permintaan dan pastikan orangnya"), N_("Periksa identitas pemohon di luar program ini. Batas waktunya 3×24 jam sejak permintaan diterima (UU 27/2022 Pasal 30 dan 32)."), begin=True),
        Step(N_("Minta nomor pemilihnya"), N_("Operator KPU kab/kota menemukan orangnya dan memberi Anda nomor pemilih, misalnya 51.71-… Bukan NIK."), begin=True),
        Step(N_("Buat laporan siapa yang melihat"), N_("Laporan disusun dari jejak audit dengan bahasa biasa, tanpa membuka data pemilih."), "/subjects", begin=True),
        Step(N_("Ajukan izin bila isinya diminta"), N_("Izin hanya berlaku bagi satu pemilih itu, untuk elemen yang Anda sebut."), "/requests/new"),
        Step(N_("Buka pemilihnya"), N_("Sesudah dua penyetuju memutus, halaman izin menautkan pemilih itu. Salin hanya yang diminta."), "/requests"),
        Step(N_("Teruskan perbaikan"), N_("Bila datanya salah, minta operator KPU kab/kota memperbaikinya dengan menyebut nomor pemilih, lalu sampaikan hasilnya kepada pemohon.")),
    ),
    (N_("Pemilih mana pun tanpa izin tertulis baginya."), N_("Pemilih yang izinnya Anda setujui sendiri."), N_("Mencari dengan NIK atau nama.")),
    (*_SHOWN, N_("Setiap laporan yang Anda buat, dan tentang pemilih mana."), _STEPS_OF_REQUESTS),
    (
        Trouble(N_("Pemilih tidak terbuka walaupun izinnya berlaku"), N_("Periksa elemen, tahapan, dan hari terakhir di halaman izin. Kode verifikasi untuk NIK, NKK, dan disabilitas tidak boleh lewat 15 menit.")),
        Trouble(N_("Pemohon bukan orang yang dimaksud"), N_("Jangan memberi keterangan apa pun. Tarik permintaan izin atau kembalikan izinnya, dan beri tahu petugas keamanan.")),
    ),
)  # fmt: skip
_KEEPER = Desk(
    N_("Meja ini mengurus akun, kantor, kunci, dan kesehatan sistem. Data pemilih tidak terbuka di sini, dan tidak ada satu perubahan pun yang dapat dilakukan diam-diam."),
    (
        Step(N_("Undang orang"), N_("Pilih kantornya, isi nama, unit, dan perannya. Kata sandi sementara tampil satu kali; serahkan langsung. Undangan berlaku 72 jam."), "/admin/accounts/new", begin=True),
        Step(N_("Pastikan setiap kantor lengkap"), N_("Tanpa dua penyetuju dari dua unit, tidak ada permintaan izin yang dapat diajukan di wilayah itu."), "/admin/offices", begin=True),
        Step(N_("Tetapkan tahapan pemilu"), N_("Di mesin layanan, dengan perintah gardu election set. Kab/kota tanpa tahapan tidak menampilkan apa pun.")),
        Step(N_("Atur ulang autentikator"), N_("Buka akunnya, tulis alasannya. Orang lain, admin kedua atau petugas keamanan, harus mengonfirmasi dalam 24 jam."), "/admin/accounts"),
        Step(N_("Akhiri sesi atau nonaktifkan akun"), N_("Akhiri sesi bila komputer ditinggal atau ponsel hilang. Nonaktifkan akun pada hari orangnya berhenti; penonaktifan tidak dapat dibatalkan."), "/admin/accounts"),
        Step(N_("Buat kunci wilayah"), N_("Sebelum kab/kota memuat DP4 pertamanya. Perkirakan jumlah pemilihnya dengan wajar."), "/admin/keys"),
        Step(N_("Periksa kesehatan"), N_("Setiap pagi. Setiap baris yang tidak baik disertai apa yang harus dilakukan."), "/admin/health", begin=True),
    ),
    (_NEVER_VOTERS, N_("Mengonfirmasi permintaan Anda sendiri, dan mengatur ulang autentikator Anda sendiri."), N_("Mengubah atau menghapus jejak audit; juga tidak dari basis data tanpa ketahuan.")),
    (N_("Setiap akun yang dibuat, diundang ulang, atau dinonaktifkan, dengan alasannya."), N_("Setiap permintaan atur ulang dan siapa yang mengonfirmasi."), N_("Setiap kunci yang dibuat dan setiap tahapan yang ditetapkan.")),
    (
        Trouble(N_("Anda diminta kode terus-menerus"), N_("Setiap perubahan memerlukan kode yang belum lewat 5 menit, dan sesi admin berakhir sesudah 5 menit tanpa kegiatan.")),
        Trouble(N_("Seseorang mendesak agar autentikatornya diatur ulang sekarang"), N_("Pastikan orangnya lewat nomor yang sudah Anda kenal. Bila ragu, jangan; beri tahu petugas keamanan.")),
    ),
)  # fmt: skip
DESKS: Mapping[Role, Desk] = {
    Role.KPU_KAB: _OPERATOR,
    Role.KPU_PROV: _COUNTER,
    Role.KPU_RI: _COUNTER,
    Role.BAWASLU_KAB: _LIAISON,
    Role.BAWASLU_PROV: _LIAISON_ABOVE,
    Role.BAWASLU_RI: _LIAISON_ABOVE,
    Role.PENYETUJU: _APPROVER,
    Role.PETUGAS_KEAMANAN: _SECURITY,
    Role.PEJABAT_PDP: _OFFICER,
    Role.ADMIN_SISTEM: _KEEPER,
}
