package bench.matching;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import org.apache.lucene.document.BinaryDocValuesField;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.IndexWriterConfig.OpenMode;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreMode;
import org.apache.lucene.search.SimpleCollector;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/**
 * A new need comes: its best ten offerings, from an index of offerings.
 *
 * <p>Done for Lucene: one segment; documents in the order of field and technology, so that what a need looks at lies close
 * together; one exact term for all gates but the mandatory requirements; no scoring and no query cache; the collector gives a
 * pair up as soon as it cannot come among the ten. The collector reads the record either from a packed doc value or, with
 * "heap", from an array in memory by document number, which spares Lucene the reading.
 */
public final class SearchOfferings {
  private SearchOfferings() {}

  public static void main(String[] arguments) throws IOException {
    boolean heap = arguments[0].equals("heap");
    int number = Integer.parseInt(arguments[1]);
    Records offerings = Records.read("offerings.bin", Offering.WIDTH);
    Records needs = Records.read("needs.bin", Need.WIDTH);
    byte[] inDocumentOrder = new byte[offerings.bytes.length];
    Path folder = Layout.FOLDER.resolve("index");
    try (FSDirectory directory = FSDirectory.open(folder)) {
      index(directory, offerings, inDocumentOrder);
      try (DirectoryReader reader = DirectoryReader.open(directory)) {
        IndexSearcher searcher = new IndexSearcher(reader);
        searcher.setQueryCache(null);
        Best collector = heap ? new FromHeap(needs, inDocumentOrder) : new FromDocValues(needs);
        long[] nanoseconds = new long[number];
        int[] answers = new int[2 * TopTen.LENGTH * number];
        for (int round = Answers.rounds(number); round > 0; round--) { // the last one counts
          for (int need = 0; need < number; need++) {
            long begun = System.nanoTime();
            collector.begin(need);
            searcher.search(new TermQuery(new Term("place", Places.ofNeed(needs.bytes, needs.at(need)))), collector);
            nanoseconds[need] = System.nanoTime() - begun;
            collector.best.writeTo(answers, 2 * TopTen.LENGTH * need);
          }
        }
        Answers.write("search.nanoseconds", nanoseconds);
        Answers.write("search.lists", answers, answers.length);
      }
    }
  }

  private static void index(FSDirectory directory, Records offerings, byte[] inDocumentOrder) throws IOException {
    Integer[] order = new Integer[offerings.number];
    Arrays.setAll(order, at -> at);
    Arrays.sort(
        order,
        Comparator.<Integer>comparingInt(one -> Records.intAt(offerings.bytes, offerings.at(one) + Offering.FIELDS))
            .thenComparingInt(one -> Records.intAt(offerings.bytes, offerings.at(one) + Offering.TECHNOLOGIES)));
    IndexWriterConfig config = new IndexWriterConfig().setOpenMode(OpenMode.CREATE).setRAMBufferSizeMB(1024);
    try (IndexWriter writer = new IndexWriter(directory, config)) {
      int documentNumber = 0;
      for (int offering : order) {
        int at = offerings.at(offering);
        Document document = new Document();
        for (String place : Places.ofOffering(offerings.bytes, at)) {
          document.add(new StringField("place", place, Field.Store.NO));
        }
        document.add(new BinaryDocValuesField("record", new BytesRef(offerings.bytes, at, offerings.width)));
        writer.addDocument(document);
        System.arraycopy(offerings.bytes, at, inDocumentOrder, documentNumber++ * offerings.width, offerings.width);
      }
      writer.forceMerge(1);
    }
  }

  /** Collects the best ten of one need after the other. */
  private abstract static class Best extends SimpleCollector {
    final TopTen best = new TopTen();
    private final Records needs;
    private int need;

    Best(Records needs) {
      this.needs = needs;
    }

    void begin(int number) {
      best.clear();
      need = needs.at(number);
    }

    final void judge(byte[] bytes, int at) {
      int score = Score.of(needs.bytes, need, bytes, at, best.atLeast());
      if (score != Score.NONE) {
        best.enter(score, Records.intAt(bytes, at + Offering.RANK));
      }
    }

    @Override
    public ScoreMode scoreMode() {
      return ScoreMode.COMPLETE_NO_SCORES;
    }
  }

  private static final class FromHeap extends Best {
    private final byte[] offerings;

    FromHeap(Records needs, byte[] offerings) {
      super(needs);
      this.offerings = offerings;
    }

    @Override
    public void collect(int document) {
      judge(offerings, document * Offering.WIDTH);
    }
  }

  private static final class FromDocValues extends Best {
    private BinaryDocValues records;

    FromDocValues(Records needs) {
      super(needs);
    }

    @Override
    protected void doSetNextReader(LeafReaderContext context) throws IOException {
      records = context.reader().getBinaryDocValues("record");
    }

    @Override
    public void collect(int document) throws IOException {
      records.advanceExact(document);
      BytesRef record = records.binaryValue();
      judge(record.bytes, record.offset);
    }
  }
}
